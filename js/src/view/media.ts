// An image or another file of the run. Only an image whose content is in the page is displayed; a
// remote one is loaded on a click.

import { imageAddress, linkAddress } from "../markdown/links.js";
import { visibleText } from "../markdown/visible.js";
import type { Media } from "../protocol.js";
import { html } from "./html.js";
import type { PartContext, PartView } from "./part.js";
import { loadImage } from "./passage.js";

const BITMAP = /^data:image\/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+={0,2}$/i;

export class MediaView implements PartView<Media> {
  readonly kind = "media";
  readonly element = html("figure", { class: "agentnb-media" });
  #drawn: string | null = null;

  update(part: Media, { media }: PartContext): void {
    const key = JSON.stringify([part.url, part.mime_type, part.name, media]);
    if (key === this.#drawn) return;
    this.#drawn = key;
    this.element.replaceChildren(...content(part, media));
  }

  dispose(): void {}
}

function content(part: Media, number: number): HTMLElement[] {
  const kind = visibleText(part.mime_type);
  const name = visibleText(part.name ?? "");
  const label = name && kind ? `${name} (${kind})` : name || kind || "A file";
  if (BITMAP.test(part.url)) {
    const image = html("img", { alt: label, decoding: "async" });
    image.src = part.url;
    return name ? [image, html("figcaption", {}, label)] : [image];
  }
  const address = kind.startsWith("image/") ? imageAddress(part.url) : null;
  if (address) return [remoteImage(label, address)];
  const target = linkAddress(part.url);
  if (target) {
    const link = html("a", {
      href: target.href,
      target: "_blank",
      rel: "noopener noreferrer nofollow",
    });
    link.append(label);
    return [html("figcaption", {}, link, ` from ${visibleText(target.host)}`)];
  }
  const place = `run.media[${number}]`;
  return [html("figcaption", {}, `${label}: save it with ${place}.save(path)`)];
}

function remoteImage(label: string, address: { href: string; host: string }): HTMLElement {
  const host = visibleText(address.host);
  const button = html(
    "button",
    {
      type: "button",
      class: "agentnb-image",
      title: visibleText(address.href),
      "aria-label": `Load image ${label} from ${host}`,
      "data-src": address.href,
    },
    html("span", { class: "agentnb-image-alt" }, label),
    html("span", { class: "agentnb-image-host" }, host),
  );
  button.addEventListener("click", loadImage);
  return button;
}
