"use strict";
/* The charts: throughput over time, where the time went, how the figures are distributed. */

silverprint.charts = (() => {
  const { el, number, duration } = silverprint;
  const drawn = [];

  const colour = (name) => () => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function frame(title, note, text) {
    const area = el("div", { class: "plot", role: "img", "aria-label": `${title}: ${text}` });
    const caption = el("figcaption", {}, el("b", {}, title), " ", el("span", {}, note), el("em", {}, text));
    return [el("figure", { class: "chart" }, caption, area), area];
  }

  const axis = (more) => ({
    stroke: colour("--quiet"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { stroke: colour("--line"), width: 1, size: 4 },
    font: "11px system-ui, sans-serif",
    ...more,
  });

  /** Draws when the area has a width, and again whenever that changes. */
  function plot(area, height, options, data) {
    let chart = null;
    area.style.height = `${height}px`;
    new ResizeObserver(([entry]) => {
      const size = { width: Math.floor(entry.contentRect.width), height };
      if (!size.width) return;
      if (chart) chart.setSize(size);
      else drawn.push((chart = new uPlot({ ...size, ...options }, data, area)));
    }).observe(area);
  }

  const bars = (fill, label) => ({ label, fill, width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.92, Infinity], align: 1 }) });

  function throughput(data) {
    const total = data.done.map((done, i) => done + data.failed[i]);
    const photos = total.reduce((sum, value) => sum + value, 0);
    const mean = photos / (total.length * data.seconds);
    const [figure, area] = frame("Throughput", "photos a second, failed in red", `mean ${number(mean)} photos/s`);
    const start = Date.parse(data.start) / 1000;
    const rate = (values) => [...values, 0].map((value) => value / data.seconds);
    const times = [...total, 0].map((_, i) => start + i * data.seconds);
    const options = {
      legend: { show: false },
      cursor: { show: false },
      scales: { y: { range: (u, low, high) => [0, Math.max(high * 1.1, 0.1)] } },
      axes: [axis({ size: 28, space: 70, values: (u, ticks) => ticks.map(clock) }), axis({ size: 44 })],
      series: [{}, bars(colour("--accent"), "photos/s"), bars(colour("--bad"), "failed/s")],
    };
    plot(area, 205, options, [times, rate(total), rate(data.failed)]);
    return figure;
  }

  const clock = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 19);

  function distribution({ title, note, digits }, data) {
    const used = data.counts.map((value, i) => (value ? i : -1)).filter((i) => i >= 0);
    const from = Math.max(0, used[0] - 2);
    const to = Math.min(data.counts.length, used[used.length - 1] + 3);
    const text = `median ${number(data.p50, digits)} · 90% in ${number(data.p5, digits)}–${number(data.p95, digits)}`;
    const [figure, area] = frame(title, note, text);
    const options = {
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { time: false }, y: { range: (u, low, high) => [0, high * 1.1] } },
      axes: [axis({ size: 28, space: 40 }), axis({ size: 44, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6] })],
      series: [{}, bars(colour("--accent"), "photos")],
    };
    plot(area, 135, options, [data.edges.slice(from, to + 1), [...data.counts.slice(from, to), null]]);
    return figure;
  }

  /** Waiting in a queue costs no machine anything, so it counts in no share. */
  function stages(data) {
    const worked = data.reduce((sum, stage) => sum + (stage.name === "wait" ? 0 : stage.total), 0);
    const longest = Math.max(...data.map((stage) => stage.total));
    const [figure, area] = frame("Stages", "where the time of all photos went", `${duration(worked)} of work`);
    area.removeAttribute("role");
    area.className = "stages";
    area.append(...data.map((stage) => stageRow(stage, stage.total / longest, stage.total / worked)));
    return figure;
  }

  function stageRow(stage, length, share) {
    const bar = el("span", { class: stage.name === "wait" ? "bar queue" : "bar" });
    bar.style.width = `${Math.max(0.5, length * 100)}%`;
    const part = stage.name === "wait" ? "in the queue" : `${Math.round(share * 100)}%`;
    const text = `${duration(stage.p50)} in the median, 95% below ${duration(stage.p95)}`;
    return el("div", { class: "stage" }, el("b", {}, stage.name), el("span", { class: "track" }, bar), el("i", {}, part), el("small", {}, text));
  }

  function show(run) {
    const course = [run.throughput && throughput(run.throughput), run.stages.length && stages(run.stages)];
    const figures = Object.entries(run.figures).map(([name, data]) => distribution(run.figure_charts[name], data));
    document.getElementById("course").append(...course.filter(Boolean));
    document.getElementById("figures").append(...figures);
    document.getElementById("measured").hidden = !course.some(Boolean) && !figures.length;
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn.forEach((chart) => chart.redraw(false)));
  }

  return { show };
})();
