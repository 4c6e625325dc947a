// The page of a study: a click on a point or a row shows the trial, one on a layer its hardware.
(() => {
  const $ = id => document.getElementById(id);
  const data = id => JSON.parse($(id).textContent);
  const trials = data("data-trials"), sources = data("data-sources"), page = data("data-page");
  let trial = null, layer = null;

  const element = (tag, content, name) => {
    const made = document.createElement(tag);
    if (name) made.className = name;
    made.append(...(Array.isArray(content) ? content : [content]));
    return made;
  };
  const verdict = text => (text === "NO" ? "no" : text === "yes" ? "yes" : "");
  const say = text => { $("said").textContent = text; };

  // A row answers to a click anywhere and to its button; the arrow keys go from button to button.
  const selectable = (row, cell, choose) => {
    const button = element("button", [...cell.childNodes]);
    button.type = "button";
    cell.append(button);
    row.addEventListener("click", () => choose());
    button.addEventListener("keydown", event => {
      const rows = [...row.parentNode.rows], at = rows.indexOf(row);
      const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
      if (to === undefined || !rows[to]) return;
      event.preventDefault();
      rows[to].querySelector("button").focus();
    });
  };
  const mark = (rows, key, value) => {
    for (const row of rows) {
      if (row.dataset[key] === String(value)) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
  };

  const fillList = (list, pairs) => {
    list.replaceChildren(...pairs.flatMap(([name, value]) => [element("dt", name), element("dd", value)]));
  };
  const fillTable = (table, rows, words) => {
    table.tBodies[0].replaceChildren(...rows.map(cells => element("tr", cells.map(
      (cell, column) => element("td", cell, column < words ? "" : "number")))));
    table.hidden = rows.length === 0;
  };
  const copy = async pre => {
    try {
      await navigator.clipboard.writeText(pre.textContent);
    } catch {
      // Without leave to write: what is selected can still be copied.
      getSelection().selectAllChildren(pre);
      document.execCommand("copy");
    }
    say("Copied");
  };
  const fillSources = (box, files, opened) => {
    box.replaceChildren(...files.map(({ file, key }, place) => {
      if (key === null) return element("p", `${file} is left out of this page; it lies in ${trials[trial].folder}.`, "missing");
      const made = $("source").content.cloneNode(true).firstElementChild, pre = made.querySelector("pre");
      made.querySelector("code").textContent = file;
      pre.setAttribute("aria-label", file);
      made.querySelector("button").addEventListener("click", () => copy(pre));
      // Filled when it is first seen: the Verilog of a table may be long.
      made.addEventListener("toggle", () => { if (made.open && !pre.textContent) pre.textContent = sources[key]; });
      made.classList.toggle("long", sources[key].length > 40000);
      made.open = opened && place === 0;
      return made;
    }));
    if (!files.length) box.append(element("p", "None: nothing is built, or it is not emitted.", "missing"));
  };

  const showFit = curves => {
    $("fit-box").hidden = !page.fit || !curves;
    if ($("fit-box").hidden) return;
    const own = page.curves[curves.data];
    const traces = page.fit.data.map(trace => ({ ...trace, x: own.x, y: curves[trace.meta] || own[trace.meta] || [] }));
    Plotly.react($("fit"), traces.filter(trace => trace.y.length), page.fit.layout, { responsive: true, displayModeBar: false });
  };

  const showLayer = name => {
    const found = trials[trial].layers.find(one => one.name === name);
    $("layer").hidden = !found;
    mark($("layers").tBodies[0].rows, "layer", found ? name : null);
    if (!found) return;
    layer = name;
    $("layer-title").textContent = `${name} of trial ${trial}`;
    $("expression").textContent = found.expression;
    $("certificate").textContent = found.certificate;
    $("checks").replaceChildren(...found.checks.map(([check, text]) => element("li", [`${check}: `, element("strong", text, verdict(text))])));
    showFit(found.curves);
    fillTable($("resources"), found.resources, 2);
    fillTable($("operations"), found.operations, 1);
    fillSources($("sources"), found.sources, true);
    $("norm").textContent = found.norm || "Not known: no profile is there.";
    fillSources($("norm-sources"), found.norm_sources, false);
    say(`Layer ${name}`);
  };

  const showLayers = layers => {
    $("layers-box").hidden = layers.length === 0;
    $("layers").tHead.querySelectorAll("th").forEach(head => head.removeAttribute("aria-sort"));
    $("layers").tBodies[0].replaceChildren(...layers.map(one => {
      const head = element("td", one.name);
      const cells = one.cells.map((text, place) => element("td", text, [2, 5, 6, 7, 8, 9].includes(place) ? "number" : verdict(text)));
      const row = element("tr", [head, ...cells]);
      row.dataset.layer = one.name;
      selectable(row, head, () => showLayer(one.name));
      return row;
    }));
  };

  const ring = number => {
    if (!page.plot) return;
    const index = page.plot.data.findIndex(trace => trace.name === "selected");
    let at = [[], []];
    for (const trace of page.plot.data) {
      const place = (trace.customdata || []).indexOf(number);
      if (place >= 0) at = [[trace.x[place]], [trace.y[place]]];
    }
    Plotly.restyle($("plot"), { x: [at[0]], y: [at[1]] }, [index]);
  };

  const show = number => {
    trial = number;
    const found = trials[number];
    mark($("trials").tBodies[0].rows, "trial", number);
    $("detail").hidden = false;
    $("detail-title").textContent = found.title;
    $("error").hidden = !found.error;
    $("error").textContent = found.error || "";
    fillList($("parameters"), found.parameters);
    fillList($("facts"), found.facts);
    $("folder").textContent = found.folder;
    showLayers(found.layers);
    showLayer(layer);
    ring(number);
    // Not the name of an element: the browser would scroll to it.
    history.replaceState(null, "", `#trial=${number}`);
    say(found.title);
  };

  // Along the front, from the smallest area to the largest.
  const walk = event => {
    const at = page.front.indexOf(trial), last = page.front.length - 1;
    const steps = { ArrowRight: at + 1, ArrowUp: at + 1, ArrowLeft: at - 1, ArrowDown: at - 1, Home: 0, End: last };
    if (event.key === "Enter") $("detail-title").focus();
    else if (event.key in steps && last >= 0) show(page.front[Math.min(last, Math.max(0, steps[event.key]))]);
    else return;
    event.preventDefault();
  };

  document.documentElement.classList.add("js");
  for (const row of $("trials").tBodies[0].rows) {
    selectable(row, row.cells[0], () => show(Number(row.dataset.trial)));
  }
  if (page.plot) {
    const options = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d"] };
    Plotly.newPlot($("plot"), page.plot.data, page.plot.layout, options);
    $("plot").on("plotly_click", event => {
      const number = event.points.map(point => point.customdata).find(one => one !== undefined);
      if (number !== undefined) show(number);
    });
    $("plot").addEventListener("keydown", walk);
  }
  const asked = Number((location.hash.match(/^#trial=(\d+)$/) || [])[1] ?? page.start ?? NaN);
  if (trials[asked]) show(asked);
})();
