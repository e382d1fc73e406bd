/* Runs before the first paint: "auto" follows the device. */
(function () {
  "use strict";
  var root = document.documentElement;
  var dark = window.matchMedia("(prefers-color-scheme: dark)");
  function apply() {
    var wish = root.dataset.theme || "auto";
    var now = wish === "auto" ? (dark.matches ? "dark" : "light") : wish;
    if (root.getAttribute("data-bs-theme") === now) return;
    root.setAttribute("data-bs-theme", now);
    document.dispatchEvent(new CustomEvent("lf:theme"));
  }
  apply();
  dark.addEventListener("change", apply);
  new MutationObserver(apply).observe(root, { attributes: true, attributeFilter: ["data-theme"] });
})();
