/* Draws every [data-chart] from its JSON with the colours of the tokens; redraws when these change. */
(function () {
  "use strict";
  var drawn = [];

  /* Tokens are light-dark() values; only a painted element knows which side holds. */
  function token(name) {
    var probe = document.createElement("span");
    probe.className = "lf-probe lf-probe-" + name;
    document.body.append(probe);
    var colour = getComputedStyle(probe).color;
    probe.remove();
    return colour;
  }

  function number(value, unit) {
    if (value === null || value === undefined) return "–";
    return Number(value).toLocaleString("en", { maximumFractionDigits: 1 }) + (unit || "");
  }

  /* Names of lying bars get a third of the room, at least what a phone has for them. */
  function option(spec, box) {
    var ink = token("ink"), ink2 = token("ink-2"), ink3 = token("ink-3"), line = token("line"), line2 = token("line-2");
    var surface = token("surface"), font = getComputedStyle(document.body).fontFamily;
    var lying = spec.kind === "bars", lines = spec.kind === "line", many = spec.series.length > 1;
    var names = {
      type: "category", data: spec.labels, inverse: lying, axisTick: { show: false },
      axisLine: { show: !lying, lineStyle: { color: line2 } },
      axisLabel: { color: lying ? ink2 : ink3, fontSize: 12, fontFamily: font, hideOverlap: true, width: lying ? Math.max(128, Math.min(320, Math.round(box.clientWidth / 3))) : undefined, overflow: lying ? "truncate" : undefined },
    };
    var values = {
      type: "value", max: spec.top || null, minInterval: spec.unit ? 0 : 1, splitNumber: 4,
      splitLine: { show: !lying, lineStyle: { color: line } }, axisLine: { show: false },
      axisLabel: { show: !lying, color: ink3, fontSize: 12, fontFamily: font, formatter: function (value) { return number(value, spec.unit); } },
    };
    return {
      animation: !window.matchMedia("(prefers-reduced-motion: reduce)").matches, animationDuration: 250,
      textStyle: { fontFamily: font, color: ink2 },
      grid: { left: 4, right: lying ? 64 : 12, top: lying ? 4 : 18, bottom: 4, containLabel: true },
      xAxis: lying ? values : names,
      yAxis: lying ? names : values,
      tooltip: {
        renderMode: "richText", trigger: lines || many ? "axis" : "item", confine: true, backgroundColor: surface, borderColor: line2, borderWidth: 1,
        padding: [8, 10], textStyle: { color: ink, fontSize: 12, fontFamily: font }, axisPointer: { type: lines ? "line" : "shadow", lineStyle: { color: line2 }, shadowStyle: { opacity: 0.12 } },
        valueFormatter: function (value) { return number(value, spec.unit); },
      },
      series: spec.series.map(function (one, index) {
        var colour = token("c-" + one.tone), last = index === spec.series.length - 1;
        var item = {
          name: one.name, type: lines ? "line" : "bar", data: one.values, cursor: (one.links || []).length ? "pointer" : "default",
          itemStyle: { color: colour, borderRadius: spec.kind === "stacked" ? 0 : lying ? [0, 3, 3, 0] : [3, 3, 0, 0] },
          stack: spec.kind === "stacked" ? "all" : undefined, barMaxWidth: lying ? (one.tone === "was" ? 8 : 20) : 34, barGap: lying ? "25%" : "10%", barCategoryGap: "34%",
          label: { show: (lying && one.tone !== "was") || (spec.kind === "columns" && spec.series.length === 1 && spec.labels.length <= 14), position: lying ? "right" : "top", color: ink, fontWeight: 600, fontSize: 12, fontFamily: font, formatter: function (point) { return number(lying || spec.unit !== "%" || spec.labels.length < 7 ? point.value : Math.round(point.value), spec.unit); } },
          lineStyle: lines ? { color: colour, width: 2, type: one.tone === "was" ? "dashed" : "solid" } : undefined,
          symbol: lines ? "circle" : undefined, symbolSize: 7, showSymbol: lines && spec.labels.length <= 32, connectNulls: false,
        };
        if (spec.mark && last) {
          item.markLine = {
            silent: true, symbol: "none", lineStyle: { color: ink2, type: "dashed", width: 1.5 },
            label: { formatter: spec.mark[1], position: "insideStartTop", color: ink3, fontSize: 12, fontFamily: font },
            data: [lying ? { xAxis: spec.mark[0] } : { yAxis: spec.mark[0] }],
          };
        }
        return item;
      }),
    };
  }

  function key(box, spec) {
    var place = document.querySelector('[data-chart-key="' + box.id + '"]');
    if (!place || spec.series.length < 2) return;
    place.replaceChildren();
    spec.series.forEach(function (one) {
      var item = document.createElement("span"), sign = document.createElement("span");
      item.className = "lf-key";
      sign.className = "lf-swatch s-" + one.tone;
      item.append(sign, one.name);
      place.append(item);
    });
  }

  function draw(box) {
    var source = document.getElementById(box.dataset.chart);
    if (!source || !window.echarts || box.dataset.drawn) return;
    box.dataset.drawn = "1";
    var spec = JSON.parse(source.textContent);
    var chart = window.echarts.init(box, null, { renderer: "canvas" });
    chart.setOption(option(spec, box));
    chart.on("click", function (point) {
      var links = (spec.series[point.seriesIndex] || {}).links || [];
      if (links[point.dataIndex]) location.assign(links[point.dataIndex]);
    });
    key(box, spec);
    drawn.push({ box: box, chart: chart, spec: spec });
    new ResizeObserver(function () { if (box.clientWidth) chart.resize(); }).observe(box);
  }

  function all() {
    drawn = drawn.filter(function (one) {
      if (document.contains(one.box)) return true;
      one.chart.dispose();
      return false;
    });
    document.querySelectorAll("[data-chart]").forEach(draw);
  }

  document.addEventListener("lf:theme", function () {
    drawn.forEach(function (one) { one.chart.setOption(option(one.spec, one.box), true); });
  });
  document.addEventListener("click", function (event) {
    var toggle = event.target.closest("[data-chart-toggle]");
    if (!toggle) return;
    var box = document.getElementById(toggle.dataset.chartToggle), table = document.getElementById(box.id + "-table");
    table.hidden = !table.hidden;
    box.hidden = !table.hidden;
    toggle.setAttribute("aria-expanded", String(!table.hidden));
    toggle.textContent = table.hidden ? "Table" : "Chart";
  });
  document.addEventListener("htmx:load", all);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", all);
  else all();
})();
