// Tables become sortable and filterable; without scripts they are plain tables. Order is by the numbers in data-order.
"use strict";
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark", dark.matches); // the table library looks for it
dark.addEventListener("change", follow);
follow();

document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll("table.sortable")) {
    const made = new DataTable(table, {
      paging: false,
      info: false,
      order: [],
      autoWidth: false,
      orderClasses: false,
      layout: { topStart: null, topEnd: null, bottomStart: null, bottomEnd: null },
      language: { emptyTable: "No rows.", zeroRecords: "No row holds these words." },
    });
    const tools = document.getElementById(`${table.id}-tools`);
    const box = document.createElement("label");
    const input = document.createElement("input");
    const said = document.createElement("span");
    input.type = "search";
    input.autocomplete = "off";
    said.setAttribute("role", "status");
    said.className = "note";
    box.append("Filter rows", input);
    tools.prepend(box);
    tools.append(said);
    const rows = made.rows().count();
    input.addEventListener("input", () => {
      made.search(input.value).draw();
      const left = made.rows({ search: "applied" }).count();
      said.textContent = left < rows ? `${left} of ${rows} rows` : "";
    });
  }
  const open = () => {
    const shown = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (shown instanceof HTMLDetailsElement) shown.open = true;
  };
  window.addEventListener("hashchange", open);
  open();
});
