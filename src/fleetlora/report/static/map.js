// The map that plays: vehicles move between sampled frames, units serve them, handoffs flash.
(() => {
  "use strict";
  const { world, views, rounds } = JSON.parse(document.getElementById("map-data").textContent);
  const byId = (name) => document.getElementById(`map-${name}`);
  const canvas = byId("canvas"), strip = byId("strip"), slider = byId("slider"), tip = byId("tip");
  const play = byId("play"), clock = byId("clock");
  const ABSENT = -32768, SECONDS_AT_1X = 40, FLASH_FRAMES = 2.5;

  const column = (text, Type) => {
    const raw = atob(text), bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
    return new Type(bytes.buffer);
  };
  const nVehicles = world.vehicles, nFrames = world.frames, step = world.step_m;
  const X = column(world.x, Int16Array), Y = column(world.y, Int16Array);
  const serving = column(world.serving, Int16Array);
  const streetX = column(world.streets.x, Int16Array), streetY = column(world.streets.y, Int16Array);
  const handoffs = {
    t: column(world.handoffs.t, Float64Array),
    x: column(world.handoffs.x, Int16Array),
    y: column(world.handoffs.y, Int16Array),
  };
  const handoffFrame = Array.from(handoffs.t, (t) => (world.dt_s > 0 ? (t - world.t0) / world.dt_s : 0));
  const units = world.rsus.map((unit) => ({ name: unit.name, x: unit.x - world.origin[0], y: unit.y - world.origin[1] }));
  const around = (box) => box.map((edge, i) => edge - world.origin[i % 2]);
  const home = around(views.home), whole = around(views.whole);

  let frame = 0, playing = false, speed = 1, lastTick = 0;
  let camera = { x: 0, y: 0, scale: 1 }, width = 0, height = 0, moved = false;
  let base = document.createElement("canvas"), colours = {};
  // where every vehicle was last drawn: x, y in CSS pixels, and its unit; NaN when it is not there
  const drawnX = new Float32Array(nVehicles), drawnY = new Float32Array(nVehicles), drawnUnit = new Int16Array(nVehicles);

  const px = (x) => width / 2 + (x - camera.x) * camera.scale;
  const py = (y) => height / 2 - (y - camera.y) * camera.scale;

  const readColours = () => {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["panel", "ink", "soft", "line", "accent", "warm", "alone", "street"]) {
      colours[name] = style.getPropertyValue(`--${name}`).trim();
    }
  };

  const sized = (target, w, h) => {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    target.width = Math.round(w * ratio);
    target.height = Math.round(h * ratio);
    target.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
  };

  const scaleOf = ([west, south, east, north]) => 0.96 * Math.min(width / (east - west), height / (north - south));

  const fit = (box) => {
    camera = { x: (box[0] + box[2]) / 2, y: (box[1] + box[3]) / 2, scale: scaleOf(box) };
    moved = box !== home;
  };

  const niceStep = (rough) => {
    const power = 10 ** Math.floor(Math.log10(rough));
    return power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  };

  // squares of a round number of kilometres, and a bar that says how many
  const drawGrid = (ctx) => {
    const spacing = niceStep((width < 500 ? 60 : 110) / camera.scale);
    const left = camera.x - width / 2 / camera.scale, right = camera.x + width / 2 / camera.scale;
    const low = camera.y - height / 2 / camera.scale, high = camera.y + height / 2 / camera.scale;
    ctx.strokeStyle = colours.line;
    ctx.lineWidth = 1;
    ctx.beginPath();
    for (let x = Math.ceil(left / spacing) * spacing; x <= right; x += spacing) {
      ctx.moveTo(px(x), 0);
      ctx.lineTo(px(x), height);
    }
    for (let y = Math.ceil(low / spacing) * spacing; y <= high; y += spacing) {
      ctx.moveTo(0, py(y));
      ctx.lineTo(width, py(y));
    }
    ctx.stroke();
    return spacing;
  };

  const drawScale = (ctx, spacing) => {
    const long = spacing * camera.scale, y = height - 14;
    ctx.strokeStyle = colours.panel;
    for (const [style, thick] of [[colours.panel, 5], [colours.ink, 2]]) {
      ctx.strokeStyle = style;
      ctx.lineWidth = thick;
      ctx.beginPath();
      ctx.moveTo(14, y - 5);
      ctx.lineTo(14, y);
      ctx.lineTo(14 + long, y);
      ctx.lineTo(14 + long, y - 5);
      ctx.stroke();
    }
    ctx.font = "12px system-ui, sans-serif";
    ctx.fillStyle = colours.ink;
    written(ctx, spacing < 1000 ? `${spacing} m` : `${spacing / 1000} km`, 14 + long / 2, y - 6, "center");
  };

  const drawStreets = (ctx) => {
    ctx.strokeStyle = colours.street;
    ctx.lineWidth = Math.min(3, Math.max(0.8, camera.scale * 14));
    ctx.lineJoin = "round";
    ctx.beginPath();
    let pen = false;
    for (let i = 0; i < streetX.length; i++) {
      if (streetX[i] === ABSENT) { pen = false; continue; }
      const x = px(streetX[i] * step), y = py(streetY[i] * step);
      if (pen) ctx.lineTo(x, y); else ctx.moveTo(x, y);
      pen = true;
    }
    ctx.stroke();
  };

  const written = (ctx, text, x, y, align) => {
    ctx.textAlign = align;
    ctx.lineWidth = 3;
    ctx.lineJoin = "round";
    ctx.strokeStyle = colours.panel;
    ctx.strokeText(text, x, y);
    ctx.fillText(text, x, y);
  };

  const drawUnits = (ctx) => {
    const radius = world.coverage_m * camera.scale;
    for (const unit of units) {
      ctx.beginPath();
      ctx.arc(px(unit.x), py(unit.y), radius, 0, 2 * Math.PI);
      ctx.globalAlpha = 0.07;
      ctx.fillStyle = colours.accent;
      ctx.fill();
      ctx.globalAlpha = 0.45;
      ctx.strokeStyle = colours.accent;
      ctx.lineWidth = 1;
      ctx.stroke();
    }
    ctx.globalAlpha = 1;
  };

  // names where there is room for them: none may touch a unit, another name or the edge
  const drawNames = (ctx) => {
    const shown = units.filter((unit) => px(unit.x) > 0 && px(unit.x) < width && py(unit.y) > 0 && py(unit.y) < height);
    for (const unit of shown) {
      const x = px(unit.x), y = py(unit.y);
      ctx.beginPath();
      ctx.moveTo(x, y - 7);
      ctx.lineTo(x + 6, y + 4.5);
      ctx.lineTo(x - 6, y + 4.5);
      ctx.closePath();
      ctx.fillStyle = colours.ink;
      ctx.strokeStyle = colours.panel;
      ctx.lineWidth = 1.5;
      ctx.stroke();
      ctx.fill();
    }
    if (world.coverage_m * camera.scale < 18 && shown.length > 12) return;
    ctx.font = "600 12px system-ui, sans-serif";
    const taken = shown.map((unit) => [px(unit.x) - 8, py(unit.y) - 9, px(unit.x) + 8, py(unit.y) + 6]);
    taken.push([width - 54, 0, width, 132], [0, height - 38, 160, height]);
    const apart = (one, other) => one[2] < other[0] || one[0] > other[2] || one[3] < other[1] || one[1] > other[3];
    for (const unit of shown) {
      const x = px(unit.x), y = py(unit.y), w = ctx.measureText(unit.name).width;
      for (const [left, bottom] of [[x - w / 2, y + 20], [x - w / 2, y - 11], [x + 11, y + 4], [x - 11 - w, y + 4]]) {
        const box = [left - 3, bottom - 12, left + w + 3, bottom + 4];
        const inside = box[0] > 0 && box[2] < width && box[1] > 0 && box[3] < height;
        if (!inside || !taken.every((other) => apart(box, other))) continue;
        taken.push(box);
        ctx.fillStyle = colours.ink;
        written(ctx, unit.name, left, bottom, "left");
        break;
      }
    }
  };

  const drawBase = () => {
    sized(base, width, height);
    const ctx = base.getContext("2d");
    ctx.fillStyle = colours.panel;
    ctx.fillRect(0, 0, width, height);
    const spacing = drawGrid(ctx);
    drawStreets(ctx);
    drawUnits(ctx);
    drawScale(ctx, spacing);
  };

  const placeVehicles = () => {
    const before = Math.min(Math.floor(frame), nFrames - 1), after = Math.min(before + 1, nFrames - 1);
    const part = frame - before, nearest = part < 0.5 ? before : after;
    let present = 0, served = 0;
    for (let v = 0; v < nVehicles; v++) {
      const a = before * nVehicles + v, b = after * nVehicles + v;
      let x = X[nearest * nVehicles + v], y = Y[nearest * nVehicles + v];
      if (X[a] !== ABSENT && X[b] !== ABSENT) {
        x = X[a] + part * (X[b] - X[a]);
        y = Y[a] + part * (Y[b] - Y[a]);
      }
      const there = x !== ABSENT;
      drawnX[v] = there ? px(x * step) : NaN;
      drawnY[v] = there ? py(y * step) : NaN;
      drawnUnit[v] = there ? serving[nearest * nVehicles + v] : -1;
      present += there;
      served += drawnUnit[v] >= 0;
    }
    return [present, served];
  };

  const drawVehicles = (ctx) => {
    const size = Math.min(6, Math.max(3, camera.scale * 60));
    ctx.fillStyle = colours.alone;
    for (let v = 0; v < nVehicles; v++) {
      if (drawnUnit[v] < 0) ctx.fillRect(drawnX[v] - size / 2, drawnY[v] - size / 2, size, size);
    }
    ctx.strokeStyle = colours.accent;
    ctx.globalAlpha = 0.22;
    ctx.lineWidth = 1;
    ctx.beginPath();
    for (let v = 0; v < nVehicles; v++) {
      if (drawnUnit[v] < 0) continue;
      ctx.moveTo(drawnX[v], drawnY[v]);
      ctx.lineTo(px(units[drawnUnit[v]].x), py(units[drawnUnit[v]].y));
    }
    ctx.stroke();
    ctx.globalAlpha = 1;
    ctx.fillStyle = colours.accent;
    ctx.strokeStyle = colours.panel;
    const radius = size / 2 + 1.4;
    ctx.beginPath();
    for (let v = 0; v < nVehicles; v++) {
      if (drawnUnit[v] < 0) continue;
      ctx.moveTo(drawnX[v] + radius, drawnY[v]);
      ctx.arc(drawnX[v], drawnY[v], radius, 0, 2 * Math.PI);
    }
    ctx.stroke();
    ctx.fill();
  };

  const drawHandoffs = (ctx) => {
    let soFar = 0;
    ctx.strokeStyle = colours.warm;
    for (let h = 0; h < handoffFrame.length; h++) {
      const age = (frame - handoffFrame[h]) / FLASH_FRAMES;
      if (age >= -1e-9) soFar++;
      if (age < -1e-9 || age > 1) continue;
      ctx.globalAlpha = 1 - age;
      ctx.lineWidth = 2.5 - 1.5 * age;
      ctx.beginPath();
      ctx.arc(px(handoffs.x[h] * step), py(handoffs.y[h] * step), 5 + 14 * age, 0, 2 * Math.PI);
      ctx.stroke();
    }
    ctx.globalAlpha = 1;
    return soFar;
  };

  const spoken = (seconds) => {
    const whole = Math.round(seconds), pad = (n) => String(n).padStart(2, "0");
    const h = Math.floor(whole / 3600), min = Math.floor(whole / 60) % 60, s = whole % 60;
    return h ? `${h} h ${pad(min)} min ${pad(s)} s` : `${min} min ${pad(s)} s`;
  };

  const roundAt = (t) => {
    const now = rounds.findLast((round) => round[1] <= t);
    if (!now) return "";
    return t <= now[2] || now !== rounds[rounds.length - 1] ? ` · round ${now[0]}` : " · after the last round";
  };

  const draw = () => {
    if (!width) return;
    const ctx = canvas.getContext("2d");
    ctx.save();
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.drawImage(base, 0, 0);
    ctx.restore();
    const [present, served] = placeVehicles();
    drawVehicles(ctx);
    drawNames(ctx);
    const soFar = drawHandoffs(ctx);
    const t = world.t0 + frame * world.dt_s, told = spoken(t) + roundAt(t);
    clock.textContent = told;
    byId("present").textContent = present.toLocaleString("en");
    byId("served").textContent = served.toLocaleString("en");
    byId("handoffs").textContent = soFar.toLocaleString("en");
    slider.value = frame;
    slider.setAttribute("aria-valuetext", told);
  };

  const drawStrip = () => {
    const w = strip.clientWidth, h = strip.clientHeight;
    sized(strip, w, h);
    const ctx = strip.getContext("2d");
    const counts = new Float32Array(nFrames);
    for (let f = 0; f < nFrames; f++) {
      for (let v = 0; v < nVehicles; v++) counts[f] += X[f * nVehicles + v] !== ABSENT && serving[f * nVehicles + v] >= 0;
    }
    const most = Math.max(1, ...counts), pad = 8;
    const along = (f) => pad + ((w - 2 * pad) * f) / Math.max(1, nFrames - 1);
    ctx.clearRect(0, 0, w, h);
    ctx.beginPath();
    ctx.moveTo(along(0), h);
    for (let f = 0; f < nFrames; f++) ctx.lineTo(along(f), h - ((h - 4) * counts[f]) / most);
    ctx.lineTo(along(nFrames - 1), h);
    ctx.fillStyle = colours.accent;
    ctx.globalAlpha = 0.25;
    ctx.fill();
    ctx.globalAlpha = 1;
  };

  const arrange = () => {
    const w = canvas.clientWidth;
    const tall = Math.max(300, Math.min(640, 0.8 * window.innerHeight, (w * (home[3] - home[1])) / (home[2] - home[0])));
    canvas.style.height = `${Math.round(tall)}px`;
    const changed = w !== width || Math.round(tall) !== height;
    width = w;
    height = Math.round(tall);
    sized(canvas, width, height);
    if (changed && !moved) fit(home);
    readColours();
    drawBase();
    drawStrip();
    draw();
  };

  const setPlaying = (on) => {
    playing = on;
    play.textContent = on ? "❚❚" : "▶";
    play.setAttribute("aria-label", on ? "Pause" : "Play");
    if (on) {
      if (frame >= nFrames - 1) frame = 0;
      lastTick = performance.now();
      requestAnimationFrame(tick);
    }
  };

  const tick = (now) => {
    if (!playing) return;
    frame += ((now - lastTick) / 1000) * speed * ((nFrames - 1) / SECONDS_AT_1X);
    lastTick = now;
    if (frame >= nFrames - 1) {
      frame = nFrames - 1;
      setPlaying(false);
    }
    draw();
    if (playing) requestAnimationFrame(tick);
  };

  const zoom = (factor, x = width / 2, y = height / 2) => {
    const held = { x: camera.x + (x - width / 2) / camera.scale, y: camera.y - (y - height / 2) / camera.scale };
    camera.scale = Math.min(4, Math.max(0.5 * scaleOf(whole), camera.scale * factor));
    camera.x = held.x - (x - width / 2) / camera.scale;
    camera.y = held.y + (y - height / 2) / camera.scale;
    moved = true;
    drawBase();
    draw();
  };

  const near = (x, y) => {
    let found = null, closest = 12;
    for (let v = 0; v < nVehicles; v++) {
      const away = Math.hypot(drawnX[v] - x, drawnY[v] - y);
      if (away < closest) {
        closest = away;
        const unit = drawnUnit[v];
        found = `${world.vehicle_ids[v]}\n${unit < 0 ? "out of coverage" : `served by ${units[unit].name}`}`;
      }
    }
    units.forEach((unit, j) => {
      const away = Math.hypot(px(unit.x) - x, py(unit.y) - y);
      if (away < closest + 2) {
        closest = away;
        found = `${unit.name}\nserves ${drawnUnit.filter((serves) => serves === j).length} vehicles now`;
      }
    });
    return found;
  };

  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  let dragFrom = null;
  canvas.addEventListener("pointerdown", (event) => {
    dragFrom = at(event);
    canvas.setPointerCapture(event.pointerId);
    canvas.classList.add("dragging");
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = at(event);
    if (dragFrom) {
      camera.x -= (x - dragFrom[0]) / camera.scale;
      camera.y += (y - dragFrom[1]) / camera.scale;
      dragFrom = [x, y];
      moved = true;
      drawBase();
      draw();
      return;
    }
    const text = near(x, y);
    tip.hidden = !text;
    if (text) {
      tip.textContent = text;
      const flip = x > width - 170;
      tip.style.transform = `translate(${x + (flip ? -12 : 12)}px, ${y + 10}px)${flip ? " translateX(-100%)" : ""}`;
    }
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, () => {
      dragFrom = null;
      canvas.classList.remove("dragging");
    });
  }
  canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
  canvas.addEventListener("dblclick", (event) => zoom(2, ...at(event)));
  // the wheel scrolls the page; with Ctrl, as a pinch sends it, it zooms the map
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 200), ...at(event));
  }, { passive: false });

  slider.max = Math.max(0, nFrames - 1);
  slider.addEventListener("input", () => {
    setPlaying(false);
    frame = Number(slider.value);
    draw();
  });
  play.addEventListener("click", () => setPlaying(!playing));
  byId("speed").addEventListener("change", (event) => { speed = Number(event.target.value); });
  byId("in").addEventListener("click", () => zoom(1.6));
  byId("out").addEventListener("click", () => zoom(1 / 1.6));
  byId("fit").addEventListener("click", () => { fit(moved ? home : whole); drawBase(); draw(); });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", arrange);
  new ResizeObserver(arrange).observe(canvas.parentElement);
  canvas.positions = () => Array.from(drawnX, (x, v) => [x, drawnY[v]]);
  arrange();
})();
