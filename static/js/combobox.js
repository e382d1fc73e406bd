/* Values to choose from while typing in a rule: the last entry of the field is looked up among those that
   leads have. Arrows choose, Enter takes, Escape closes; nothing has to be chosen. */
(function () {
  "use strict";

  var open = null, waiting = 0, asked = 0;

  /* The entries of the field; with a semicolon in it semicolons part them, for an entry may have a comma. */
  function parts(value) {
    var sign = value.indexOf(";") >= 0 ? ";" : ",";
    var cut = value.lastIndexOf(sign) + 1;
    return { sign: sign, before: value.slice(0, cut), last: value.slice(cut).trim() };
  }

  function close() {
    if (!open) return;
    open.list.remove();
    open.input.setAttribute("aria-expanded", "false");
    open.input.removeAttribute("aria-activedescendant");
    open.input.removeAttribute("aria-controls");
    open = null;
  }

  function mark(at) {
    var options = Array.from(open.list.children);
    if (!options.length) return;
    open.at = (at + options.length) % options.length;
    options.forEach(function (option, i) { option.setAttribute("aria-selected", i === open.at ? "true" : "false"); });
    open.input.setAttribute("aria-activedescendant", options[open.at].id);
    options[open.at].scrollIntoView({ block: "nearest" });
  }

  function take(option) {
    var input = open.input, value = option.dataset.value, found = parts(input.value), before = found.before;
    if (value.indexOf(",") >= 0 && found.sign === ",") {
      before = before.split(",").map(function (one) { return one.trim(); }).filter(Boolean).map(function (one) { return one + ";"; }).join(" ");
      value += ";";
    }
    input.value = (before ? before.trimEnd() + " " : "") + value;
    close();
    input.focus();
    input.dispatchEvent(new Event("input", { bubbles: true }));
    clearTimeout(waiting);
  }

  /* A later answer may come while one is choosing: what was marked stays marked, where it is still among them. */
  function show(input, html) {
    var marked = open && open.at >= 0 ? open.list.children[open.at].dataset.value : null;
    close();
    var list = document.createElement("ul");
    list.className = "lf-combolist";
    list.id = input.name.replace(/\./g, "-") + "-values";
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", "Values that leads have");
    list.innerHTML = html;
    if (!list.children.length || document.activeElement !== input) return;
    Array.from(list.children).forEach(function (option, i) { option.id = list.id + "-" + i; });
    input.parentNode.append(list);
    input.setAttribute("aria-expanded", "true");
    input.setAttribute("aria-controls", list.id);
    open = { input: input, list: list, at: -1 };
    var again = Array.from(list.children).findIndex(function (option) { return option.dataset.value === marked; });
    if (again >= 0) mark(again);
  }

  function ask(input) {
    var mine = ++asked, typed = parts(input.value).last;
    fetch(input.dataset.values + "&q=" + encodeURIComponent(typed), { headers: { "HX-Request": "true" } })
      .then(function (answer) { return answer.ok ? answer.text() : ""; })
      .then(function (html) { if (mine === asked) show(input, html); })
      .catch(close);
  }

  function field(target) { return target.closest && target.closest("input[data-values]"); }

  function ready(input) {
    if (input.hasAttribute("role")) return;
    input.setAttribute("role", "combobox");
    input.setAttribute("aria-autocomplete", "list");
    input.setAttribute("aria-expanded", "false");
  }

  document.addEventListener("focusin", function (event) {
    var input = field(event.target);
    if (open && open.input !== input) close();
    if (input) { ready(input); ask(input); }
  });
  document.addEventListener("input", function (event) {
    var input = field(event.target);
    if (!input || !event.isTrusted) return;
    clearTimeout(waiting);
    waiting = setTimeout(function () { ask(input); }, 200);
  });
  document.addEventListener("focusout", function (event) { if (field(event.target)) setTimeout(close, 150); });
  document.addEventListener("pointerdown", function (event) {
    var option = open && event.target.closest(".lf-combolist [role=option]");
    if (option) { event.preventDefault(); take(option); }
  });
  document.addEventListener("keydown", function (event) {
    var input = field(event.target);
    if (!input) return;
    if (event.key === "ArrowDown" && !open) { event.preventDefault(); ask(input); return; }
    if (!open) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      mark(event.key === "ArrowDown" ? open.at + 1 : (open.at < 0 ? -1 : open.at - 1));
    } else if (event.key === "Enter" && open.at >= 0) {
      event.preventDefault();
      take(open.list.children[open.at]);
    } else if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      close();
    }
  }, true);
})();
