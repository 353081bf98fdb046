"""Which of SUMO's options a scenario is run with: a list of those that name no file to write.

A list of what is refused would have holes: SUMO has hundreds of options, several names for many, and new
ones in every version. The names are those of `sumo --save-template` in SUMO 1.28, without all that writes,
logs, shows or waits, or loads something whose contents are not looked through.
"""

from __future__ import annotations

import re

__all__ = ["FILES", "own_name"]

#: Options that name files, which are looked through before SUMO reads them.
FILES = ("net-file", "route-files", "additional-files", "weight-files")

_PLAIN = """
weight-attribute junction-taz precision precision.geo human-readable-time begin end step-length
step-method.ballistic extrapolate-departpos threads lateral-resolution route-steps no-internal-links
ignore-junction-blocker ignore-route-errors ignore-accidents collision.action
intermodal-collision.action collision.stoptime intermodal-collision.stoptime collision.check-junctions
collision.check-junctions.mingap collision.mingap-factor keep-after-arrival max-num-vehicles
max-num-persons max-num-teleports scale scale-suffix time-to-teleport time-to-teleport.highways
time-to-teleport.highways.min-speed time-to-teleport.disconnected time-to-teleport.remove
time-to-teleport.remove-constraint time-to-teleport.ride time-to-teleport.bidi
time-to-teleport.railsignal-deadlock waiting-time-memory startup-wait-threshold max-depart-delay
sloppy-insert eager-insert emergency-insert insertion-checks random-depart-offset lanechange.duration
lanechange.overtake-right tls.all-off tls.actuated.show-detectors tls.actuated.jam-threshold
tls.actuated.detector-length tls.delay_based.detector-range tls.yellow.min-decel railsignal-moving-block
railsignal.moving-block.default-classes railsignal.moving-block.max-dist railsignal.max-block-length
railsignal.default-classes slope-centered time-to-impatience default.departspeed default.departlane
default.action-step-length default.carfollowmodel default.speeddev default.emergencydecel
overhead-wire.solver overhead-wire.recuperation overhead-wire.substation-current-limits
emergencydecel.warning-threshold parking.maneuver use-stop-ended use-stop-started pedestrian.model
pedestrian.timegap-crossing pedestrian.striping.stripe-width pedestrian.striping.dawdling
pedestrian.striping.mingap-to-vehicle pedestrian.striping.jamtime pedestrian.striping.jamtime.crossing
pedestrian.striping.jamtime.narrow pedestrian.striping.jamfactor pedestrian.striping.reserve-oncoming
pedestrian.striping.reserve-oncoming.junctions pedestrian.striping.reserve-oncoming.max
pedestrian.striping.legacy-departposlat pedestrian.striping.walkingarea-detail
pedestrian.jupedsim.step-length pedestrian.jupedsim.exit-tolerance pedestrian.jupedsim.model
pedestrian.jupedsim.strength-neighbor-repulsion pedestrian.jupedsim.range-neighbor-repulsion
pedestrian.jupedsim.strength-geometry-repulsion pedestrian.jupedsim.range-geometry-repulsion
ride.stop-tolerance mapmatch.distance mapmatch.junctions mapmatch.taz weights.turnaround-penalty
weights.reversal-penalty persontrip.walk-opposite-factor routing-algorithm weights.random-factor
weights.random-factor.dynamic weights.minor-penalty weights.tls-penalty weights.priority-factor
weights.separate-turns persontrip.walkfactor persontrip.transfer.car-walk persontrip.transfer.taxi-walk
persontrip.transfer.walk-taxi persontrip.default.group persontrip.taxi.waiting-time
persontrip.ride-public-line railway.max-train-length replay-rerouting no-warnings aggregate-warnings
emissions.volumetric-fuel mesosim meso-ltm meso-edgelength meso-tauff meso-taufj meso-taujf meso-taujj
meso-jam-threshold meso-multi-queue meso-lane-queue meso-ignore-lanes-by-vclass meso-junction-control
meso-junction-control.limited meso-tls-penalty meso-tls-flow-penalty meso-minor-penalty meso-overtaking
meso-recheck meso-interpolate-pos seed thread-rngs
"""
#: By kind of device, its own options; every kind has those of :data:`_EVERY_DEVICE`.
_DEVICES = {
    "device.rerouting": (
        "period pre-period adaptation-weight adaptation-steps adaptation-interval "
        "cch-update-threshold.factor cch-update-threshold.constant cch-ensemble threshold.factor "
        "threshold.constant invalidation with-taz mode init-with-loaded-weights threads synchronize "
        "railsignal bike-speeds"
    ),
    "person-device.rerouting": "period mode scope",
    "device.emissions": "begin period",
    "device.btreceiver": "range all-recognitions offtime",
    "device.btsender": "",
    "person-device.btsender": "",
    "person-device.btreceiver": "",
    "device.stationfinder": (
        "rescueTime rescueAction reserveFactor emptyThreshold radius maxEuclideanDistance repeat "
        "chargeType waitForCharge minOpportunityDuration saturatedChargeLevel needToChargeLevel "
        "opportunisticChargeLevel replacePlannedStop maxDistanceToReplacedStop chargingStrategy "
        "checkEnergyForRoute"
    ),
    "device.battery": "track-fuel",
    "device.example": "parameter",
    "device.ssm": (
        "measures thresholds trajectories range extratime mdrac.prt geo write-positions "
        "write-lane-positions write-na exclude-conflict-types"
    ),
    "device.toc": (
        "manualType automatedType responseTime recoveryRate lcAbstinence initialAwareness mrmDecel "
        "dynamicToCThreshold dynamicMRMProbability mrmKeepRight mrmSafeSpot mrmSafeSpotDuration "
        "maxPreparationAccel ogNewTimeHeadway ogNewSpaceHeadway ogMaxDecel ogChangeRate useColorScheme"
    ),
    "device.driverstate": (
        "initialAwareness errorTimeScaleCoefficient errorNoiseIntensityCoefficient "
        "speedDifferenceErrorCoefficient headwayErrorCoefficient freeSpeedErrorCoefficient "
        "speedDifferenceChangePerceptionThreshold headwayChangePerceptionThreshold minAwareness "
        "maximalReactionTime"
    ),
    "device.bluelight": "reactiondist mingapfactor",
    "device.elechybrid": "",
    "device.taxi": (
        "dispatch-algorithm dispatch-algorithm.params dispatch-period dispatch-keep-unreachable "
        "idle-algorithm vclasses"
    ),
    "device.glosa": "range max-speedfactor min-speed add-switchtime use-queue override-safety ignore-cfmodel",
    "device.tripinfo": "",
    "device.vehroute": "",
    "device.friction": "stdDev offset",
}
_EVERY_DEVICE = ("probability", "explicit", "deterministic")
_TAKEN = frozenset(_PLAIN.split()).union(
    f"{device}.{option}" for device, own in _DEVICES.items() for option in (*_EVERY_DEVICE, *own.split())
)
_SYNONYMS = {
    "n": "net-file",
    "net": "net-file",
    "r": "route-files",
    "routes": "route-files",
    "a": "additional-files",
    "additional": "additional-files",
    "w": "weight-files",
    "weights": "weight-files",
    "measure": "weight-attribute",
    "x": "weight-attribute",
    "H": "human-readable-time",
    "b": "begin",
    "e": "end",
    "s": "route-steps",
    "railsignal.moving-block": "railsignal-moving-block",
    "carfollow.model": "default.carfollowmodel",
    "with-taz": "device.rerouting.with-taz",
    "routing-threads": "device.rerouting.threads",
    "W": "no-warnings",
    "suppress-warnings": "no-warnings",
    "taxi.vclasses": "device.taxi.vclasses",
    "meso.ignore-lanes.by-vclass": "meso-ignore-lanes-by-vclass",
    "srand": "seed",
}
#: What an option was called before: these parts of its name.
_FORMERLY = ((".routing.", ".rerouting."), (".knownveh", ".explicit"))
#: Options that are left out, as the streets are the same without them: outputs and logs, the graphical
#: interface, remote control, checks against schemas that a file may name, a seed taken from the clock.
_LEFT_OUT = re.compile(
    r".*output.*|(tripinfo|summary|vehroutes|personinfo|personroutes|person-fcd|netstate|ndump|dump)([.-].*)?"
    r"|C|save-.*|write-.*|l|(.*-)?log(-file|[.].*)?|t|v|verbose|print-options|[?]|help|V|version|language"
    r"|X|xml-validation.*|phemlight-.*|pedestrian[.]jupedsim[.](wkt.*|py)|(person-)?device[.]fcd[.].*"
    r"|device[.](ssm|toc)[.]file|device[.]ssm[.]filter-edges.*|remote-port|num-clients|random|abs-rand"
    r"|g|gui-.*|Q|quit-on-end|G|game.*|S|start|d|delay|B|breakpoints|m|data-files|edgedata-files"
    r"|N|alternative-net-file|selection-file|D|demo|T|disable-textures|registry-viewport|window-.*"
    r"|tracker-interval"
)


def own_name(option: str) -> str | None:
    """Return the name that SUMO's list has for an option, or ``None`` for one that is left out.

    Raises:
        KeyError: Neither is known of it.
    """
    if _LEFT_OUT.fullmatch(option):
        return None
    for former, today in _FORMERLY:
        option = option.replace(former, today)
    name = _SYNONYMS.get(option, option)
    if name in FILES or name in _TAKEN:
        return name
    raise KeyError(option)
