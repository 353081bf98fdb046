"""fleetlora: federated LoRA fine-tuning over fleets of vehicles."""
