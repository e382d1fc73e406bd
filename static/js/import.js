/* The page that says what the columns are: how a new field looks is asked only of new fields. */
"use strict";
document.querySelectorAll("select[data-new]").forEach((select) => {
  const more = document.getElementById(select.dataset.new);
  const show = () => more.classList.toggle("d-none", select.value !== "new");
  select.addEventListener("change", show);
  show();
});
