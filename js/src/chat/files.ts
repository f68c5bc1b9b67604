// Attachments as small cards.

import { visibleText } from "../markdown/visible.js";
import { html } from "../view/html.js";
import { icon } from "../view/icons.js";
import { bytes } from "./attachments.js";
import { button } from "./dom.js";
import { type Attachment, isPreview } from "./protocol.js";

/** One attachment with its thumbnail, name and size, and perhaps a button to remove it. */
export function fileCard(file: Attachment, onRemove?: () => void): HTMLLIElement {
  const name = visibleText(file.name);
  const card = html("li", { class: "agentnb-chat-file", title: name });
  if (isPreview(file.preview)) {
    const image = html("img", { alt: "", decoding: "async" });
    image.src = file.preview;
    card.append(image);
  } else card.append(icon("file"));
  card.append(html("span", { class: "agentnb-chat-file-name" }, name));
  if (file.size !== null) {
    card.append(html("span", { class: "agentnb-chat-soft" }, bytes(file.size)));
  }
  if (onRemove) card.append(button("close", `Remove ${name}`, onRemove));
  return card;
}

export function fileList(label: string): HTMLUListElement {
  return html("ul", { class: "agentnb-chat-files", "aria-label": label });
}
