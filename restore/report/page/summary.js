"use strict";
/* The top of the page: which run or archive this is, its totals, failures and settings. */

silverprint.summary = (() => {
  const { el, get, number, count, duration, bytes, time, table } = silverprint;

  const VERDICTS = {
    complete: ["complete", "good"],
    some_failed: ["complete, some photos failed", "warn"],
    budget_spent: ["stopped: too many failures", "bad"],
    stopped: ["stopped early", "bad"],
  };

  const files = (number) => `${count(number)} ${number === 1 ? "file" : "files"}`;

  function title(text, ...more) {
    document.title = `${text} – Silverprint report`;
    document.getElementById("title").append(text, ...more);
  }

  function subtitle(...parts) {
    document.getElementById("subtitle").append(...parts.flatMap((part, i) => [i ? " · " : "", el("span", {}, part)]));
  }

  function heading(record) {
    const [verdict, tone] = VERDICTS[record.verdict] ?? [record.verdict, "warn"];
    const leftOut = record.left_out ? `, ${files(record.left_out)} left out` : "";
    const shown = leftOut && tone === "good" ? "warn" : tone;
    title(time(record.started_at), " ", el("span", { class: `verdict ${shown}` }, verdict + leftOut));
    subtitle(record.images ?? record.manifest, `${record.profile} profile`, `run ${record.run_id}`);
    if (record.message) document.getElementById("subtitle").after(el("p", { class: "message" }, record.message));
  }

  function archiveHeading(archive) {
    title("The archive as it is now");
    subtitle(archive.output, time(archive.generated_at));
  }

  const failed = (counts, note) => ["failed", count(counts.failed ?? 0), note, counts.failed ? "bad" : ""];

  function runTotals({ counts, record }) {
    const { status, result } = counts;
    return [
      ["photos", count(Object.values(status).reduce((sum, value) => sum + value, 0))],
      ["restored", count(result.restored ?? 0)],
      ["copied", count(result.copied ?? 0), "nothing to repair"],
      ...(result.reused ? [["reused", count(result.reused), "pictures of earlier runs"]] : []),
      failed(status),
      ...(status.removed ? [["pruned", count(status.removed), "no longer in the archive"]] : []),
      ...(record.left_out ? [["left out", count(record.left_out), "files of the folder", "warn"]] : []),
      ["took", duration(record.seconds), "start to end"],
    ];
  }

  function archiveTotals({ counts: { status }, archive, output_bytes }) {
    const note = archive.outdated ? `${count(archive.outdated)} still show an earlier picture` : null;
    return [
      ["photos", count(archive.items)],
      ["restored", count(status.restored ?? 0), "current pictures"],
      ["copied", count(status.copied ?? 0), "nothing to repair"],
      failed(status, note),
      ["size", bytes(output_bytes), "current pictures"],
    ];
  }

  function totals(entries, psnr) {
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

  const SHOWN = 10;

  /** What a listing found besides the run's photos, each kind with its first names. */
  function listing(listed) {
    const found = Object.values(listed ?? {}).filter((kind) => kind.count);
    document.getElementById("listing").hidden = !found.length;
    document.getElementById("listing-rows").append(...found.map((kind) => {
      const names = kind.first.slice(0, SHOWN).map((name) => el("li", {}, name));
      if (kind.count > SHOWN) names.push(el("li", {}, `and ${count(kind.count - names.length)} more`));
      return el("tr", {}, el("td", {}, kind.meaning), el("td", { class: "number" }, count(kind.count)),
        el("td", { class: "example" }, el("ul", {}, ...names)));
    }));
  }

  function settings(record) {
    const { recipe, versions, verdict, message, manifest, listed, parts, status, errors, ...rest } = record;
    document.getElementById("settings").append(
      el("div", {}, el("h3", {}, "Recipe"), table(recipe)),
      el("div", {}, el("h3", {}, "Run"), table(rest), el("h3", {}, "Versions"), table(versions)),
    );
  }

  const run = get("run");
  (run.archive ? archiveHeading : heading)(run.archive ?? run.record);
  totals(run.archive ? archiveTotals(run) : runTotals(run), run.figures.psnr);
  failures(run.counts.error_code, get("index").columns);
  if (run.archive) document.querySelector("details.settings").hidden = true;
  else {
    listing(run.record.listed);
    settings(run.record);
  }
  silverprint.charts.show(run);
})();
