"use strict";
(() => {
  const data = JSON.parse(document.getElementById("map-data").textContent);
  const canvas = document.getElementById("map");
  const tip = document.getElementById("tip");
  const tools = document.querySelector(".map .tools");
  const context = canvas.getContext("2d");
  const projections = Object.fromEntries(Object.entries(data.projections).map(([name, text]) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return [name, new Uint16Array(bytes.buffer)];
  }));
  const count = data.names.length;
  const total = Object.values(projections)[0].length / 2;
  const kinds = new Uint8Array(total).fill(0);
  data.selected.forEach((row) => { kinds[row] = 1; });
  kinds.fill(2, count);
  const words = ["removed", "selected", "selected before"];
  const shown = [true, true, true];
  let points = Object.values(projections)[0];
  let view = { scale: 1, x: 0, y: 0 };
  let current = -1;

  const colors = () => ["--removed", "--selected", "--pool"].map(
    (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim());

  const place = (row) => {
    const side = 0.94 * Math.min(canvas.clientWidth, canvas.clientHeight);
    const x = (points[2 * row] / 65535 - 0.5) * side * view.scale + canvas.clientWidth / 2 + view.x;
    const y = (0.5 - points[2 * row + 1] / 65535) * side * view.scale + canvas.clientHeight / 2 + view.y;
    return [x, y];
  };

  const draw = () => {
    const ratio = window.devicePixelRatio || 1;
    canvas.width = canvas.clientWidth * ratio;
    canvas.height = canvas.clientHeight * ratio;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const palette = colors();
    [0, 2, 1].forEach((kind) => {
      if (!shown[kind]) return;
      context.fillStyle = palette[kind];
      context.globalAlpha = kind === 0 ? 0.75 : 0.95;
      const radius = (kind === 0 ? 2.2 : 3.2) * Math.min(2, Math.sqrt(view.scale)) * (total < 500 ? 1.5 : 1);
      for (let row = 0; row < total; row += 1) {
        if (kinds[row] !== kind) continue;
        const [x, y] = place(row);
        context.beginPath();
        context.arc(x, y, radius, 0, 7);
        context.fill();
      }
    });
    context.globalAlpha = 1;
    if (current >= 0) {
      const [x, y] = place(current);
      context.strokeStyle = getComputedStyle(canvas).color;
      context.lineWidth = 2;
      context.beginPath();
      context.arc(x, y, 7, 0, 7);
      context.stroke();
    }
  };

  const show = (row) => {
    current = row;
    tip.hidden = row < 0;
    tip.replaceChildren();
    if (row >= 0) {
      const picture = data.thumbnails[row];
      if (picture) {
        const image = document.createElement("img");
        image.src = `data:image/jpeg;base64,${picture}`;
        image.alt = "";
        tip.append(image);
      }
      const name = document.createElement("div");
      name.textContent = row < count ? data.names[row] : "";
      const kind = document.createElement("b");
      kind.textContent = words[kinds[row]];
      tip.append(name, kind);
      const [x, y] = place(row);
      const left = Math.min(Math.max(0, x + 12), Math.max(0, canvas.clientWidth - tip.offsetWidth));
      const above = y + 12 + tip.offsetHeight > canvas.clientHeight;
      tip.style.left = `${left}px`;
      tip.style.top = `${canvas.offsetTop + (above ? Math.max(0, y - 12 - tip.offsetHeight) : y + 12)}px`;
    }
    draw();
  };

  const nearest = (x, y) => {
    let best = -1;
    let least = 18 * 18;
    for (let row = 0; row < total; row += 1) {
      if (!shown[kinds[row]]) continue;
      const [left, top] = place(row);
      const distance = (left - x) ** 2 + (top - y) ** 2 - (kinds[row] === 1 ? 4 : 0);
      if (distance < least) { least = distance; best = row; }
    }
    return best;
  };

  const pointers = new Map();
  let moved = false;
  const spot = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const zoom = (factor, x, y) => {
    const scale = Math.min(200, Math.max(0.5, view.scale * factor));
    const real = scale / view.scale;
    const [middle, centre] = [x - canvas.clientWidth / 2, y - canvas.clientHeight / 2];
    view = { scale, x: middle - (middle - view.x) * real, y: centre - (centre - view.y) * real };
    show(-1);
  };
  canvas.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, spot(event));
    moved = false;
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = spot(event);
    const before = pointers.get(event.pointerId);
    if (!before) { const row = nearest(x, y); if (row !== current) show(row); return; }
    if (pointers.size === 1) {
      if (Math.hypot(x - before[0], y - before[1]) < 2 && !moved) return;
      moved = true;
      view = { ...view, x: view.x + x - before[0], y: view.y + y - before[1] };
      show(-1);
    } else {
      const other = [...pointers].find(([key]) => key !== event.pointerId)[1];
      const ratio = Math.hypot(x - other[0], y - other[1]) / Math.max(1, Math.hypot(before[0] - other[0], before[1] - other[1]));
      moved = true;
      zoom(ratio, (x + other[0]) / 2, (y + other[1]) / 2);
    }
    pointers.set(event.pointerId, [x, y]);
  });
  const release = (event) => {
    if (pointers.delete(event.pointerId) && !moved) show(nearest(...spot(event)));
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", (event) => pointers.delete(event.pointerId));
  canvas.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") show(-1); });
  canvas.addEventListener("dblclick", () => { view = { scale: 1, x: 0, y: 0 }; show(-1); });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 400), ...spot(event));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") show(-1);
    if (!step || !shown.some(Boolean)) return;
    event.preventDefault();
    const order = data.selected.length && shown[1] ? data.selected : [...Array(total).keys()];
    const at = order.indexOf(current);
    show(order[(at + step + order.length) % order.length]);
  });

  const button = (text, pressed, act) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.setAttribute("aria-pressed", pressed);
    made.addEventListener("click", () => act(made));
    tools.append(made);
    return made;
  };
  const choices = Object.keys(projections).map((name, i) => button(name, i === 0, (made) => {
    points = projections[name];
    choices.forEach((choice) => choice.setAttribute("aria-pressed", choice === made));
    view = { scale: 1, x: 0, y: 0 };
    show(-1);
  }));
  words.forEach((word, kind) => {
    if (!kinds.includes(kind)) return;
    button(word, true, (made) => {
      shown[kind] = !shown[kind];
      made.setAttribute("aria-pressed", shown[kind]);
      show(-1);
    });
  });
  new ResizeObserver(draw).observe(canvas);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
})();
