// The draft of a question, and the command that sends it.

import { type DraftFile, newId } from "./attachments.js";
import type { Attachment, ChatCommand, ChatState, TurnState } from "./protocol.js";

/** The draft, which outlives its view. */
export interface Draft {
  text: string;
  files: DraftFile[];
  /**
   * The turn that is edited, whether its attachments are kept, and the draft before that.
   */
  edit: { turn: string; keep: boolean; before: { text: string; files: DraftFile[] } } | null;
}

/** Maximum length that the kernel accepts. */
export const LONGEST = 1_000_000;

export const emptyDraft = (): Draft => ({ text: "", files: [], edit: null });

type Chat = Readonly<Pick<ChatState, "turns" | "media">>;

const editedTurn = ({ edit }: Draft, { turns }: Chat): TurnState | undefined =>
  edit ? turns.find((turn) => turn.id === edit.turn) : undefined;

/** The attachments of the edited question, if they are kept. */
export function keptWith(draft: Draft, chat: Chat): readonly Attachment[] {
  return (draft.edit?.keep && editedTurn(draft, chat)?.attachments) || [];
}

/** What the draft lacks: anything at all, or a question for its files. */
export function lacks(draft: Draft, chat: Chat): "anything" | "question" | null {
  if (draft.text.trim()) return null;
  if (draft.files.length + keptWith(draft, chat).length === 0) return "anything";
  return chat.media.alone ? null : "question";
}

/** The command that sends a draft, and its turn; `tip` is the last turn of the branch. */
export function question(
  draft: Draft,
  chat: Chat,
  tip: string | null,
): { command: ChatCommand; turn: Pick<TurnState, "id" | "parent" | "prompt" | "attachments"> } {
  const { text, files } = draft;
  const edited = editedTurn(draft, chat);
  const kept = keptWith(draft, chat);
  const sent = files.map(({ id, file, preview }) => ({
    upload: id,
    name: file.name,
    mime_type: file.type || null,
    size: file.size,
    preview,
  }));
  const id = newId();
  const parent = edited ? edited.parent : tip;
  const command: ChatCommand = { type: "send", id, parent, text, attachments: sent };
  if (edited) command.edit = edited.id;
  if (edited && kept.length > 0) command.keep = edited.id;
  const attachments = [...kept, ...sent.map(({ upload, ...shown }) => shown)];
  return { command, turn: { id, parent, prompt: text, attachments } };
}

/** A refused question, before the text that was written since. */
export function before({ text, files, edit }: Draft, since: Draft): Draft {
  if (edit && !since.edit) return { text, files, edit: { ...edit, before: since } };
  return {
    text: since.text ? `${text}\n\n${since.text}` : text,
    files: [...files, ...since.files],
    edit: since.edit,
  };
}
