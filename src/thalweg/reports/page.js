// Draws the figures in the page's own colours, and again whenever these or the choice of optimizers change.
(() => {
  "use strict";
  const root = document.documentElement;
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const charts = [...document.querySelectorAll("[data-figure]")];
  const chips = [...document.querySelectorAll("[data-series]")];
  const config = { displayModeBar: false, responsive: true, showTips: false, doubleClick: false };

  // "@leader 0.2" is the style sheet's --leader at that opacity; other strings are colours already.
  const colour = (style, name) => {
    if (name[0] !== "@") return name;
    const [role, opacity] = name.slice(1).split(" ");
    const hex = style.getPropertyValue("--" + role).trim();
    if (!opacity) return hex;
    const channels = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
    return `rgba(${channels.join(",")},${opacity})`;
  };
  const painted = (style, value, key) => {
    if (typeof value === "string") return /color$/.test(key) ? colour(style, value) : value;
    if (Array.isArray(value)) return value.map((inner) => painted(style, inner, key));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([k, inner]) => [k, painted(style, inner, k)]));
  };

  const standing = (trace) => chips[trace.series].getAttribute("aria-pressed") === "true";
  const dressed = ({ on, off, ...trace }) => {
    if (trace.series === undefined) return trace;
    const look = standing(trace) ? on : off;
    return { ...trace, ...look };
  };
  // Those that stand out lie on top, bands below lines, the best last.
  const depth = (trace) =>
    trace.series === undefined ? 0 : (standing(trace) ? 1e6 : 0) + (trace.fill ? 0 : 1e3) - trace.series;

  const draw = (chart, size) => {
    const style = getComputedStyle(root);
    const { data, layout } = figures[chart.dataset.figure];
    const traces = [...data].sort((a, b) => depth(a) - depth(b)).map(dressed);
    const { fontFamily: family } = getComputedStyle(chart);
    const fonts = {
      font: { ...layout.font, family },
      hoverlabel: { ...layout.hoverlabel, font: { ...layout.hoverlabel.font, family } },
    };
    return Plotly.react(chart, painted(style, traces), painted(style, { ...layout, ...fonts, ...size }), config);
  };
  const drawAll = () => charts.forEach((chart) => draw(chart));

  // One after another, so that the page answers while forty panels are drawn.
  const next = (left) => {
    if (!left.length) return root.classList.add("drawn");
    draw(left[0]);
    setTimeout(next, 0, left.slice(1));
  };
  next(charts);

  chips.forEach((chip) =>
    chip.addEventListener("click", () => {
      chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
      charts.filter((chart) => chart.dataset.figure.startsWith("curve-")).forEach((chart) => draw(chart));
    }),
  );
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);

  const copy = document.querySelector(".copy");
  if (copy && navigator.clipboard) {
    copy.hidden = false;
    copy.addEventListener("click", () =>
      navigator.clipboard.writeText(document.querySelector(".paste code").textContent).then(
        () => (copy.textContent = "Copied"),
        () => (copy.textContent = "Select and copy"),
      ),
    );
  }

  // Paper is light, narrower than the window, and cannot open what is folded.
  const details = [...document.querySelectorAll("details")];
  addEventListener("beforeprint", () => {
    root.classList.add("paper");
    details.forEach((fold) => (fold.open = true));
    charts.forEach((chart) => {
      draw(chart, { autosize: false, width: chart.clientWidth, height: chart.clientHeight });
    });
  });
  addEventListener("afterprint", () => {
    root.classList.remove("paper");
    drawAll();
  });
})();
