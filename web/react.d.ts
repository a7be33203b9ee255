/**
 * Types of <leadout-chat> in JSX, for React 19 or newer:
 *
 *     import type {} from "leadout/react";
 */

import type { DetailedHTMLProps, HTMLAttributes } from "react";
import type { LeadoutChat } from "./widget/leadout-chat.js";
import type { LeadoutChatEvents } from "./widget/events.js";

type Listeners = {
  [Name in keyof LeadoutChatEvents as `on${Name}`]?: (event: CustomEvent<LeadoutChatEvents[Name]>) => void;
};

type Properties = Partial<
  Pick<
    LeadoutChat,
    | "model"
    | "drafter"
    | "mode"
    | "engine"
    | "text"
    | "messages"
    | "conversation"
    | "settings"
    | "loadOptions"
    | "prepareMessages"
    | "tools"
    | "name"
    | "required"
    | "disabled"
  >
>;

type LeadoutChatProps = DetailedHTMLProps<HTMLAttributes<LeadoutChat>, LeadoutChat> &
  Omit<Properties, "settings"> &
  Listeners & {
    settings?: Partial<LeadoutChat["settings"]>;
    autoload?: boolean;
    forecast?: boolean;
    assets?: string;
    store?: "only" | "off";
    submits?: "answer" | "conversation";
  };

declare module "react" {
  namespace JSX {
    interface IntrinsicElements {
      "leadout-chat": LeadoutChatProps;
    }
  }
}
