/* The agreement's editor: drag to order, the focus where the hand is, Escape, what was never saved. */
(function () {
  "use strict";

  var last = null;

  function sortable(root) {
    root.querySelectorAll("ol[data-sort]").forEach(function (list) {
      if (list.dataset.sorted || !window.Sortable) return;
      list.dataset.sorted = "1";
      window.Sortable.create(list, {
        handle: ".grip",
        draggable: ".lf-crit",
        animation: window.matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 120,
        onEnd: function (event) {
          /* htmx copies attributes from the old rows to the new ones, and the policy forbids a style among them. */
          Array.from(list.children).forEach(function (row) { row.removeAttribute("style"); });
          if (event.oldIndex === event.newIndex) return;
          var keys = Array.from(list.querySelectorAll("[data-key-of]")).map(function (row) { return row.dataset.keyOf; });
          /* From the list itself, so that it says to which draft it belongs. */
          window.htmx.ajax("POST", list.dataset.sort, { source: list, target: "#agreement-body", swap: "outerHTML", values: { key: keys } });
        }
      });
    });
  }

  /* Who else has a part open is said on its row too. */
  function markOthers() {
    document.querySelectorAll(".lf-heretag").forEach(function (tag) { tag.remove(); });
    document.querySelectorAll("#presence [data-at]").forEach(function (one) {
      var row = document.getElementById("part-" + one.dataset.at), place = row && row.querySelector(".lf-sent, header, h3");
      if (!place) return;
      var tag = document.createElement("span");
      tag.className = "lf-tag soon lf-heretag";
      tag.textContent = one.dataset.who + " is in this";
      place.append(" ", tag);
    });
  }

  /* A control is found again by its name and by which of that name it was: the form was drawn anew. */
  function remember(control) {
    var form = control.closest && control.closest(".lf-edit");
    if (!form || !control.name) { last = null; return; }
    var same = Array.from(form.querySelectorAll("[name='" + control.name + "']"));
    last = { id: form.id, name: control.name, at: same.indexOf(control) };
  }

  function refocus(root) {
    var form = root.classList && root.classList.contains("lf-edit") ? root : root.querySelector && root.querySelector(".lf-edit");
    if (!form || form.contains(document.activeElement)) return;
    var same = last && last.id === form.id ? form.querySelectorAll("[name='" + last.name + "']") : [];
    var clash = form.querySelector(".lf-clash button, .is-invalid");
    var next = clash || same[last ? last.at : 0] || form.querySelector("select, input:not([type=hidden]), textarea");
    if (next) next.focus({ preventScroll: !clash });
  }

  /* The forms in which somebody typed. Not told by marks and classes: while what was swapped in settles, htmx
     lends it those of what it replaces. */
  var touched = new WeakSet();

  /* The server has looked at what stands in the form: its words go under their fields, Done is off meanwhile. */
  function judged(live) {
    var form = live.closest(".lf-edit"), wrong = live.querySelector("[data-invalid]");
    if (!form) return;
    form.querySelector("[name=act][value=save]").disabled = Boolean(wrong);
    if (!touched.has(live.closest("form"))) return;
    form.querySelectorAll(".lf-slot").forEach(function (slot) {
      var words = wrong && wrong.querySelector("[data-for='" + slot.id + "']");
      slot.textContent = words ? words.textContent : "";
      var control = slot.id.endsWith("-error") && form.querySelector("[id='" + slot.id.slice(0, -6) + "']");
      if (!control) return;
      control.classList.toggle("is-invalid", Boolean(words));
      control.setAttribute("aria-invalid", words ? "true" : "false");
      control.setAttribute("aria-describedby", slot.id);
    });
    if (wrong) wrong.replaceChildren();
  }

  document.addEventListener("input", function (event) {
    if (event.target.form) touched.add(event.target.form);
  });

  document.addEventListener("DOMContentLoaded", function () {
    sortable(document);
    document.body.addEventListener("htmx:afterSwap", function (event) {
      if (event.detail.target.classList.contains("lf-live")) judged(event.detail.target);
    });
    document.body.addEventListener("htmx:beforeRequest", function (event) { remember(event.detail.elt); });
    document.body.addEventListener("htmx:afterSettle", function (event) {
      sortable(document);
      markOthers();
      if (event.detail.elt.id !== "presence") refocus(event.detail.elt);
    });
    document.body.addEventListener("lf:focus", function (event) {
      var row = document.getElementById(event.detail.value || event.detail);
      if (row) row.focus({ preventScroll: false });
    });
    document.addEventListener("click", function (event) {
      var drop = event.target.closest("[data-drop]");
      if (drop) drop.closest(drop.dataset.drop).remove();
    });
    document.addEventListener("keydown", function (event) {
      if (event.key === "Escape" && event.target.closest) {
        var open = event.target.closest(".lf-edit");
        var cancel = open && open.querySelector("[data-cancel]");
        if (cancel) { event.preventDefault(); cancel.click(); }
        return;
      }
      var row = event.target.closest && event.target.closest(".lf-crit[data-key-of]");
      if (!row || !event.altKey || (event.key !== "ArrowUp" && event.key !== "ArrowDown")) return;
      var items = Array.from(row.querySelectorAll(".lf-menu button"));
      var wanted = event.key === "ArrowUp" ? "/up/" : "/down/";
      var button = items.find(function (item) { return (item.getAttribute("hx-post") || "").endsWith(wanted); });
      if (button) { event.preventDefault(); button.click(); }
    });
  });
})();
