// Tables become sortable and filterable; without scripts they are plain tables. Rows keep to their groups.
"use strict";
const WORDS = { worse: -1, "n.s.": 0, equal: 0, better: 1 };

// A cell's sort key: data-order, the meaning of a verdict, the first number, else its text; blank cells come last.
function keyOf(cell) {
  const text = (cell.dataset.order ?? cell.textContent).replace(/[\u2007\u2008]/g, "").replace(/\u2212/g, "-").trim();
  if (text === "") return null;
  if (text in WORDS) return WORDS[text];
  if (/^\d{4}-\d\d-\d\d /.test(text)) return text;
  const number = /^[-+±]?\s*[\d,]*\.?\d+(e[-+]?\d+)?/.exec(text);
  return number ? Number(number[0].replace(/[±,\s]/g, "")) : text.toLowerCase();
}

function compare(one, two) {
  if (typeof one === typeof two) return typeof one === "number" ? one - two : one.localeCompare(two, "en", { numeric: true });
  return typeof one === "number" ? -1 : 1;
}

function sortBy(table, heading) {
  const order = heading.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  for (const body of table.tBodies) {
    const rows = [...body.rows].filter((row) => !row.classList.contains("group"));
    const keyed = rows.map((row, at) => ({ row, at, key: keyOf(row.cells[heading.cellIndex]) }));
    keyed.sort((one, two) => {
      if (one.key === null || two.key === null) return (one.key === null) - (two.key === null) || one.at - two.at;
      return sign * compare(one.key, two.key) || one.at - two.at;
    });
    body.append(...keyed.map((one) => one.row));
  }
}

function makeSortable(table) {
  for (const heading of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    const link = heading.querySelector("a");
    if (link === null) {
      button.append(...heading.childNodes);
    } else { // the heading stays a link, and a button of its own sorts
      button.setAttribute("aria-label", `Sort by ${link.textContent}`);
    }
    heading.append(button);
    button.addEventListener("click", () => sortBy(table, heading));
  }
}

function makeFilterable(table) {
  const tools = document.getElementById(`${table.id}-tools`);
  const label = document.createElement("label");
  const input = document.createElement("input");
  const status = document.createElement("span");
  input.type = "search";
  input.autocomplete = "off";
  status.setAttribute("role", "status");
  status.className = "note";
  label.append("Filter rows ", input);
  tools.prepend(label);
  tools.append(status);
  const rows = [...table.tBodies].flatMap((body) => [...body.rows]).filter((row) => !row.classList.contains("group"));
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
    const left = rows.filter((row) => !row.hidden).length;
    status.textContent = left < rows.length ? `${left} of ${rows.length} rows` : "";
  });
}

document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll("table.sortable")) {
    makeSortable(table);
    if (!("nofilter" in table.dataset)) makeFilterable(table);
    table.classList.add("ready");
  }
  const open = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    target?.closest("details")?.setAttribute("open", "");
  };
  window.addEventListener("hashchange", open);
  open();
});
