/** The still picture of the same DAG, which a saved notebook shows: hidden while the live one is there. */

import { make } from "./dom";

/** While a live picture is there, the still one of the same widget (and the output area around it) is not shown. */
export function hideStill(id: string): () => void {
  if (!id) return () => {};
  const still = `.dagnb-static[data-dagnb="${CSS_escape(id)}"]`;
  const rule = `${still},.jp-OutputArea-child:has(${still}){display:none!important}`;
  const style = make("style", {}, rule);
  document.head.append(style);
  return () => style.remove();
}

const CSS_escape = (text: string): string => text.replace(/[^\w-]/g, "");
