// Draw the figures with plotly, in the colours of the reader's light or dark page, and again when that changes.
(() => {
  "use strict";
  const { figures, dark } = JSON.parse(document.getElementById("figure-data").textContent);
  const darkPage = window.matchMedia("(prefers-color-scheme: dark)");
  const touch = window.matchMedia("(pointer: coarse)").matches;

  const inColours = (value) => {
    if (typeof value === "string") return darkPage.matches && dark[value] ? dark[value] : value;
    if (Array.isArray(value)) return value.map(inColours);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, inColours(item)]));
  };

  const draw = (name) => {
    const place = document.getElementById(`figure-${name}`);
    const style = getComputedStyle(document.documentElement);
    const narrow = place.clientWidth < 440;
    const layout = inColours(figures[name].layout);
    const panel = style.getPropertyValue("--panel").trim();
    layout.hoverlabel = {
      bgcolor: panel,
      bordercolor: style.getPropertyValue("--line").trim(),
      font: { color: style.getPropertyValue("--ink").trim(), size: 12 },
    };
    layout.dragmode = touch ? false : "zoom";
    layout.font.size = narrow ? 11 : 13;
    layout.legend.font = { size: narrow ? 11 : 12 };
    if (!layout.xaxis.dtick) layout.xaxis.nticks = narrow ? 6 : 10;
    if (narrow) {
      layout.xaxis.title.font.size = 11;
      layout.yaxis.title.font.size = 11;
    }
    const traces = inColours(figures[name].data);
    for (const trace of traces) {
      // a thin gap between stacked layers, unless the bars themselves are thin
      if (trace.type === "bar" && layout.bargap > 0) trace.marker.line = { width: 0.6, color: panel };
    }
    return Plotly.react(place, traces, layout, {
      responsive: true,
      displayModeBar: false,
    });
  };

  const drawAll = () => Promise.all(Object.keys(figures).map(draw));
  drawAll().then(() => document.documentElement.setAttribute("data-figures", "drawn"));
  darkPage.addEventListener("change", drawAll);
})();
