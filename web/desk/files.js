/**
 * The files that the desk alone uses: its Python and uPlot. The build lists them in desk.json (keep in step with
 * build/leadout_build/site/assemble.py).
 *
 * @module desk/files
 */

/** @typedef {{packages: string[], uplot: string, uplot_style: string}} DeskFiles */

/** @returns {Promise<DeskFiles>} as addresses */
export async function listDeskFiles() {
  const base = new URL("../desk.json", import.meta.url);
  const response = await fetch(base);
  if (!response.ok) {
    throw new Error(`${base.pathname} answered ${response.status}: the site is incomplete; reload the page`);
  }
  const { packages, uplot, uplot_style } = await response.json();
  const at = (/** @type {string} */ name) => new URL(name, base).href;
  return { packages: packages.map(at), uplot: at(uplot), uplot_style: at(uplot_style) };
}
