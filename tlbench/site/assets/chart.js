// The metric against a cost of the reader's choice; the numbers are those of the tables on the same page.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const held = document.getElementById("chart-data");
  const place = document.getElementById("chart");
  if (held === null || place === null) return;
  const { machines, costs, metric, unit, higher } = JSON.parse(held.textContent);
  const choose = (label, options) => {
    const box = document.createElement("label");
    const select = document.createElement("select");
    options.forEach((text, value) => select.add(new Option(text, value)));
    box.append(`${label} `, select);
    document.getElementById("chart-tools").append(box);
    select.addEventListener("change", draw);
    return select;
  };
  const cost = choose("Cost", costs.map((one) => `${one.title} (${one.unit})`));
  const machine = machines.length > 1 ? choose("Machine", machines.map((one) => one.title)) : { value: 0 };

  function draw() {
    const { key, title, unit: unitOfCost, less } = costs[cost.value];
    const rows = machines[machine.value].rows.filter((row) => row[key] > 0 && row.score !== null);
    const kind = (row) => (row.baseline ? "baseline" : "method");
    const values = rows.map((row) => row[key]);
    const wide = Math.max(...values) > 30 * Math.min(...values);
    const power = (value) => Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-9;
    const plain = (value) => (value >= 1e4 ? d3.format("~s")(value) : String(Number(value.toPrecision(2))));
    const best = (higher ? d3.max : d3.min)(rows, (row) => row.score);
    const named = (value) => value.toPrecision(3).replace(/e\+?/, "e");
    const chart = Plot.plot({
      width: Math.max(300, Math.min(760, place.clientWidth)),
      height: 380,
      marginLeft: 50,
      marginBottom: 48,
      style: { background: "transparent", color: "inherit", fontSize: "12px", fontFamily: "inherit" },
      x: { type: "log", grid: true, label: `${title} (${unitOfCost}), ${less ? "less" : "more"} is better`, inset: 30,
        labelAnchor: "center", labelOffset: 38,
        ticks: wide ? 5 : 3, tickFormat: (value) => (wide && !power(value) ? "" : plain(value)) },
      y: { grid: true, label: `${metric} (${unit}), ${higher ? "more" : "less"} is better`, inset: 14 },
      symbol: { domain: ["method", "baseline"], range: ["circle", "diamond"], legend: true },
      ariaLabel: `${metric} against ${title}`,
      ariaDescription: "A point per method, named when it is pointed at. The tables of this page hold the numbers.",
      marks: [
        Plot.dot(rows, { x: key, y: "score", symbol: kind, fill: (row) => (row.baseline ? "#D55E00" : "#0072B2"), r: 5 }),
        Plot.text(rows, { x: key, y: "score", text: "name", dy: -11, fill: "currentColor", 
          filter: (row) => row.baseline || row.score === best }),
        Plot.tip(rows, Plot.pointer({
          x: key,
          y: "score",
          title: (row) => `${row.name}\n${metric}: ${named(row.score)} ${unit}\n${title}: ${named(row[key])} ${unitOfCost}`
            + (row.delta === null ? "" : `\nmean delta: ${named(row.delta)}`),
        })),
      ],
    });
    for (const part of chart.querySelectorAll("g[aria-label]")) part.setAttribute("role", "group");
    place.replaceChildren(chart);
  }
  draw();
  window.addEventListener("resize", draw);
});
