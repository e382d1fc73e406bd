/* Sorting by keyboard: Escape leaves a text, so that G, N, U and the arrows work again. */
(function () {
  "use strict";

  document.addEventListener("keydown", function (event) {
    var node = event.target;
    if (event.key !== "Escape" || event.isComposing || !node.closest || !node.closest("[data-sort] input")) return;
    event.preventDefault();
    node.blur();
  });

  /* The next card begins at its top. After an answer comes its reason; a phone's keyboard stays down. */
  document.addEventListener("htmx:afterSettle", function (event) {
    var card = document.getElementById("ws-card");
    if (!card || event.detail.target.id !== "ws-card") return;
    var reason = card.querySelector("[data-focus]");
    if (reason && window.matchMedia("(hover: hover)").matches) reason.focus({ preventScroll: true });
    if (card.dataset.card !== document.body.dataset.card) window.scrollTo(0, 0);
    document.body.dataset.card = card.dataset.card;
  });
})();
