"use strict";
/* The top of the page: what run this is, its totals, its failures, its settings. */

silverprint.summary = (() => {
  const { el, get, number, count, duration, time, table } = silverprint;

  const VERDICTS = {
    complete: ["complete", "good"],
    some_failed: ["complete, some photos failed", "warn"],
    budget_spent: ["stopped: too many failures", "bad"],
    stopped: ["stopped early", "bad"],
  };

  function heading(record) {
    const [verdict, tone] = VERDICTS[record.verdict] ?? [record.verdict, "warn"];
    document.title = `${time(record.started_at)} – Silverprint report`;
    document.getElementById("title").append(time(record.started_at), " ", el("span", { class: `verdict ${tone}` }, verdict));
    const facts = [record.manifest, `${record.profile} profile`, `run ${record.run_id}`];
    document.getElementById("subtitle").append(...facts.flatMap((fact, i) => [i ? " · " : "", el("span", {}, fact)]));
    if (record.message) document.getElementById("subtitle").after(el("p", { class: "message" }, record.message));
  }

  function totals(run) {
    const status = run.counts.status;
    const attempted = Object.values(status).reduce((sum, value) => sum + value, 0);
    const entries = [
      ["photos", count(attempted)],
      ["restored", count(status.restored ?? 0)],
      ["copied", count(status.copied ?? 0), "nothing to repair"],
      ["failed", count(status.failed ?? 0), null, status.failed ? "bad" : ""],
      ...(status.removed ? [["pruned", count(status.removed), "gone from the archive"]] : []),
      ["took", duration(run.record.seconds), "start to end"],
    ];
    const psnr = run.figures.psnr;
    if (psnr) entries.push(["PSNR", `${number(psnr.p50, 1)} dB`, "median, inside the damage"]);
    document.getElementById("totals").append(...entries.map(([name, value, note, tone]) =>
      el("div", { class: tone }, el("dt", {}, name), el("dd", {}, value, note ? el("small", {}, note) : ""))));
  }

  function failures(codes, columns) {
    if (!Object.keys(codes).length) return;
    document.getElementById("failures").hidden = false;
    document.getElementById("failure-rows").append(...Object.entries(codes).map(([code, photos]) => {
      const example = columns.error_code.indexOf(code);
      const button = el("button", { type: "button", class: "code", title: "Show these photos" }, code);
      button.onclick = () => silverprint.gallery.showCode(code);
      const message = example < 0 ? "" : columns.error_message[example];
      return el("tr", {}, el("td", {}, button), el("td", { class: "number" }, count(photos)), el("td", { class: "example" }, message));
    }));
  }

  function settings(record) {
    const { recipe, versions, verdict, message, manifest, parts, status, errors, ...rest } = record;
    document.getElementById("settings").append(
      el("div", {}, el("h3", {}, "Recipe"), table(recipe)),
      el("div", {}, el("h3", {}, "Run"), table(rest), el("h3", {}, "Versions"), table(versions)),
    );
  }

  const run = get("run");
  heading(run.record);
  totals(run);
  failures(run.counts.error_code, get("index").columns);
  settings(run.record);
  silverprint.charts.show(run);
})();
