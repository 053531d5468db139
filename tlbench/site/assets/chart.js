// A scatter of named points with their Pareto front, as SVG: what is good against what it costs.
"use strict";
const SVG = "http://www.w3.org/2000/svg";

function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function short(value) {
  for (const [size, letter] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (Math.abs(value) >= 10 * size || (size > 1e3 && Math.abs(value) >= size)) return `${Number((value / size).toPrecision(3))}${letter}`;
  }
  return String(Number(value.toPrecision(3)));
}

function linearTicks(low, high) {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((one) => one * power >= rough) * power;
  const ticks = [];
  for (let count = Math.ceil(low / step); count * step <= high; count += 1) ticks.push(Number((count * step).toPrecision(8)));
  return ticks;
}

function logTicks(low, high) {
  const wide = high / low > 50;
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
    for (const one of wide ? [1] : [1, 2, 5]) ticks.push(Number((one * 10 ** power).toPrecision(6)));
  }
  return ticks.filter((tick) => tick >= low && tick <= high);
}

// The points that no other is better than in both; less is better in x where `less`, more is better in y where `higher`.
function paretoFront(points, less, higher) {
  const at = (one) => [less ? one.x : -one.x, higher ? -one.y : one.y];
  const dominates = (one, two) => {
    const [a, b] = [at(one), at(two)];
    return a[0] <= b[0] && a[1] <= b[1] && (a[0] < b[0] || a[1] < b[1]);
  };
  return points.filter((one) => !points.some((two) => dominates(two, one))).sort((one, two) => one.x - two.x);
}

// Each name goes to the nearest free place around its point; a name without a free place is shown by pointing alone.
function placeNames(svg, points, front, box) {
  const taken = points.map((one) => [one.px - 5, one.py - 5, one.px + 5, one.py + 5]);
  for (let at = 1; at < front.length; at += 1) { // nor does a name cover the line of the front
    for (let step = 0; step <= 40; step += 1) {
      const x = front[at - 1].px + (step / 40) * (front[at].px - front[at - 1].px);
      const y = front[at - 1].py + (step / 40) * (front[at].py - front[at - 1].py);
      taken.push([x - 1, y - 1, x + 1, y + 1]);
    }
  }
  const shift = (one, radius) => [[radius, 4], [-radius, 4], [0, -radius], [0, radius + 8], [radius, -radius + 3], [-radius, -radius + 3],
    [radius, radius + 5], [-radius, radius + 5]];
  const ordered = [...points].sort((one, two) => Number(two.baseline) - Number(one.baseline) || front.includes(two) - front.includes(one));
  for (const one of ordered) {
    const width = 6.4 * one.name.length;
    for (const [dx, dy] of [...shift(one, 8), ...shift(one, 16)]) {
      const anchor = dx > 0 ? "start" : dx < 0 ? "end" : "middle";
      const left = one.px + dx - (dx > 0 ? 0 : dx < 0 ? width : width / 2);
      const area = [left, one.py + dy - 10, left + width, one.py + dy + 2];
      const out = area[0] < box[0] || area[1] < box[1] || area[2] > box[2] || area[3] > box[3];
      if (out || taken.some((two) => area[0] < two[2] && area[2] > two[0] && area[1] < two[3] && area[3] > two[1])) continue;
      taken.push(area);
      const attributes = { x: one.px + dx, y: one.py + dy, "text-anchor": anchor, class: front.includes(one) ? "name front" : "name" };
      svg.append(element("text", attributes, one.name));
      break;
    }
  }
}

// points: {name, x, y, baseline, text}; axes: {x, y, less, higher} with the labels of both.
function scatter(place, points, axes) {
  points = points.filter((one) => one.x > 0 && one.y !== null && one.y !== undefined);
  if (points.length < 2) {
    const note = document.createElement("p");
    note.textContent = "Fewer than two methods have both numbers.";
    place.replaceChildren(note);
    return;
  }
  const [width, height, left, right, top, bottom] = [Math.max(320, Math.min(860, place.clientWidth || 860)), 420, 56, 14, 14, 52];
  const logs = points.map((one) => Math.log10(one.x));
  const pad = Math.max(0.12 * (Math.max(...logs) - Math.min(...logs)), 0.08);
  const [lowX, highX] = [Math.min(...logs) - pad, Math.max(...logs) + pad];
  const ys = points.map((one) => one.y);
  const padY = Math.max(0.08 * (Math.max(...ys) - Math.min(...ys)), 1e-9);
  const [lowY, highY] = [Math.min(...ys) - padY, Math.max(...ys) + padY];
  for (const one of points) {
    one.px = left + ((Math.log10(one.x) - lowX) / (highX - lowX)) * (width - left - right);
    one.py = top + ((highY - one.y) / (highY - lowY)) * (height - top - bottom);
  }
  const svg = element("svg", { width, height, role: "img", "aria-label": `${axes.y} against ${axes.x}` });
  svg.append(element("desc", {}, "A point per method, with its name. The tables of this page hold the numbers."));
  for (const tick of logTicks(10 ** lowX, 10 ** highX)) {
    const x = left + ((Math.log10(tick) - lowX) / (highX - lowX)) * (width - left - right);
    svg.append(element("line", { class: "grid", x1: x, x2: x, y1: top, y2: height - bottom }));
    svg.append(element("text", { x, y: height - bottom + 16, "text-anchor": "middle" }, short(tick)));
  }
  for (const tick of linearTicks(lowY, highY)) {
    const y = top + ((highY - tick) / (highY - lowY)) * (height - top - bottom);
    svg.append(element("line", { class: tick === 0 ? "axis" : "grid", x1: left, x2: width - right, y1: y, y2: y }));
    svg.append(element("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, short(tick).replace("-", "\u2212")));
  }
  svg.append(element("text", { x: (left + width) / 2, y: height - 10, "text-anchor": "middle" }, axes.x));
  svg.append(element("text", { transform: `translate(13 ${(height - bottom) / 2 + 8}) rotate(-90)`, "text-anchor": "middle" }, axes.y));
  const front = paretoFront(points, axes.less, axes.higher);
  svg.append(element("polyline", { class: "pareto", points: front.map((one) => `${one.px},${one.py}`).join(" ") }));
  for (const one of points) {
    const kind = one.baseline ? "baseline" : front.includes(one) ? "front" : "dominated";
    const mark = one.baseline
      ? element("rect", { class: `point ${kind}`, x: one.px - 4.5, y: one.py - 4.5, width: 9, height: 9, transform: `rotate(45 ${one.px} ${one.py})` })
      : element("circle", { class: `point ${kind}`, cx: one.px, cy: one.py, r: 4.5 });
    mark.append(element("title", {}, one.text));
    svg.append(mark);
  }
  placeNames(svg, points, front, [left, 0, width, height - bottom]);
  place.replaceChildren(svg);
}

function choice(place, label, options, draw) {
  const box = document.createElement("label");
  const select = document.createElement("select");
  options.forEach((text, value) => select.add(new Option(text, value)));
  box.append(`${label} `, select);
  place.append(box);
  select.addEventListener("change", draw);
  return select;
}

document.addEventListener("DOMContentLoaded", () => {
  const data = document.getElementById("chart-data");
  const place = document.getElementById("chart");
  if (data === null) return;
  const { machines, costs, metric, unit, higher } = JSON.parse(data.textContent);
  const tools = document.getElementById("chart-tools");
  const draw = () => {
    const { key, title, unit: unitOfCost, less } = costs[cost.value];
    const points = machines[machine.value].rows.map((one) => ({
      name: one.name,
      x: one[key],
      y: one.score,
      baseline: one.baseline,
      text: `${one.name}\n${metric}: ${short(one.score ?? NaN)} ${unit}\n${title}: ${short(one[key] ?? NaN)} ${unitOfCost}`
        + (one.delta === null ? "" : `\nmean delta: ${short(one.delta)}`),
    }));
    const better = (isLess) => (isLess ? "less is better" : "more is better");
    scatter(place, points, { x: `${title} (${unitOfCost}), ${better(less)}`, y: `${metric} (${unit}), ${better(!higher)}`, less, higher });
  };
  const cost = choice(tools, "Cost", costs.map((one) => `${one.title} (${one.unit})`), draw);
  const machine = machines.length > 1 ? choice(tools, "Machine", machines.map((one) => one.title), draw) : { value: 0 };
  draw();
  window.addEventListener("resize", draw);
});
