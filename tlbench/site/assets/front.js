// The front page: filters and columns, whose state is in the address, figures over the suites that are shown, and the chart.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const { suites, rows } = JSON.parse(document.getElementById("overview-data").textContent);
  const form = document.getElementById("filters");
  const table = document.getElementById("overview");
  const [headings] = table.tHead.rows;
  const first = headings.cells.length - suites.length; // the first column of a suite
  const lines = [...table.tBodies].flatMap((body) => [...body.rows]).filter((row) => !row.classList.contains("group"));
  const place = document.getElementById("tradeoff-chart");
  const columns = [...form.elements].filter((one) => one.name === "column"); // the first column of figures is the second of the table
  const picks = [...form.elements].filter((one) => one.name === "suite");
  const median = (values) => {
    const sorted = [...values].sort((one, two) => one - two);
    const middle = sorted.length / 2;
    return sorted.length === 0 ? null : sorted.length % 2 ? sorted[Math.floor(middle)] : (sorted[middle - 1] + sorted[middle]) / 2;
  };

  // The figures of a method over some suites: [gain, better, worse, pairs, cost] is what each result holds.
  function figures(row, shown) {
    const own = Object.entries(row.results).filter(([at]) => shown.has(Number(at))).map(([, result]) => result);
    const tested = own.filter((result) => result[1] !== null);
    const pairs = tested.reduce((sum, result) => sum + result[3], 0);
    const share = (which) => (pairs ? (100 * tested.reduce((sum, result) => sum + result[which], 0)) / pairs : null);
    return { suites: own.length, better: share(1), worse: share(2), cost: median(own.map((result) => result[4]).filter((one) => one !== null)) };
  }

  function update() {
    const facts = new FormData(form);
    const modality = facts.get("modality");
    const words = facts.get("name").toLowerCase().split(/\s+/).filter(Boolean);
    const shown = new Set([...suites.keys()].filter((at) => picks[at].checked && (!modality || suites[at].modality === modality)));
    for (const line of [headings, ...lines]) {
      columns.forEach((column, at) => { line.cells[1 + at].hidden = !column.checked; });
      for (let at = 0; at < suites.length; at += 1) line.cells[first + at].hidden = !shown.has(at);
    }
    let count = 0;
    lines.forEach((line, at) => {
      const of = figures(rows[at], shown);
      rows[at].figures = of;
      const cost = facts.get("cost") ? of.cost !== null && of.cost <= Number(facts.get("cost")) : true;
      const labels = facts.get("labels") === "any" || facts.get("labels") === line.dataset.labels;
      const kinds = (!facts.has("free") || "free" in line.dataset) && (!facts.has("closed") || "closed" in line.dataset);
      const named = words.every((word) => rows[at].name.toLowerCase().includes(word));
      line.hidden = !(cost && labels && kinds && named && (of.suites > 0 || !modality));
      count += !line.hidden;
      const texts = [of.suites, of.better?.toFixed(0), of.worse?.toFixed(0), of.cost === null ? null : of.cost < 0.1 ? String(Number(of.cost.toPrecision(1))) : of.cost.toFixed(2)];
      texts.forEach((text, number) => { line.cells[2 + number].textContent = text ?? ""; });
    });
    document.getElementById("filter-status").textContent = `${count} of ${rows.length} methods, ${shown.size} of ${suites.length} suites`;
    draw();
    writeAddress();
  }

  // The address holds what differs from the defaults, so that a link shows the same: of boxes that are ticked first, those that are not.
  function writeAddress() {
    const query = new URLSearchParams();
    for (const one of [...form.elements, suite]) {
      if (one.type === "checkbox" && one.checked !== one.defaultChecked) query.append(one.checked ? one.name : `no-${one.name}`, one.checked ? "1" : one.value);
      if (one.type === "radio" && one.checked && !one.defaultChecked) query.append(one.name, one.value);
      if (one.type === "search" && one.value) query.append(one.name, one.value);
      if (one.tagName === "SELECT" && one.selectedIndex > 0) query.append(one.name, one.selectedOptions[0].textContent);
    }
    const text = query.toString();
    history.replaceState(null, "", `${location.pathname}${text && "?"}${text}${location.hash}`);
  }

  function readAddress() {
    const query = new URLSearchParams(location.search);
    for (const one of [...form.elements, suite]) {
      if (one.type === "checkbox") one.checked = one.defaultChecked ? !query.getAll(`no-${one.name}`).includes(one.value) : query.has(one.name);
      if (one.type === "radio" && query.has(one.name)) one.checked = query.get(one.name) === one.value;
      if (one.type === "search") one.value = query.get(one.name) ?? "";
      const at = one.tagName === "SELECT" ? [...one.options].findIndex((option) => option.textContent === query.get(one.name)) : -1;
      if (at > 0) one.selectedIndex = at;
    }
  }

  function draw() {
    const chosen = Number(suite.value) - 1;
    const visible = rows.filter((row, at) => !lines[at].hidden);
    const points = visible.map((row) => {
      const result = chosen < 0 ? null : row.results[chosen];
      const [x, y] = chosen < 0
        ? [row.figures.cost, row.figures.better === null ? null : row.figures.better - row.figures.worse]
        : [result?.[4], result?.[0]];
      const height = y === null || y === undefined ? "" : `${short(y)} ${chosen < 0 ? "% of pairs better minus worse" : "points of gain"}`;
      return { name: row.name, x, y, baseline: false, text: `${row.name}\n${height}\n${short(x ?? NaN)} × the baseline's training time` };
    });
    const y = chosen < 0 ? "pairs significantly better minus worse (%)" : "mean gain over the baseline (points)";
    scatter(place, points, { x: "training time / the baseline's, less is better", y: `${y}, more is better`, less: true, higher: true });
  }

  const names = ["all that are shown", ...suites.map((one) => one.name)];
  const suite = choice(document.getElementById("tradeoff-tools"), "Suites", names, update);
  suite.name = "chart";
  readAddress();
  form.hidden = false;
  form.addEventListener("input", update);
  form.addEventListener("reset", () => setTimeout(update)); // after the values are reset
  for (const [id, checked] of [["all-suites", true], ["no-suites", false]]) {
    document.getElementById(id).addEventListener("click", () => {
      for (const one of picks) one.checked = checked;
      update();
    });
  }
  form.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("resize", draw);
  update();
});
