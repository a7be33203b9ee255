/**
 * Types of <leadout-chat> and <leadout-models> in JSX, for React 19 or newer:
 *
 *     import type {} from "leadout/react";
 */

import type { DetailedHTMLProps, HTMLAttributes } from "react";
import type { LeadoutChat } from "./widget/leadout-chat.js";
import type { LeadoutChatEvents, LeadoutModelsEvents } from "./widget/events.js";
import type { LeadoutModels } from "./widget/leadout-models.js";

type Listeners<Events> = {
  [Name in keyof Events & string as `on${Name}`]?: (event: CustomEvent<Events[Name]>) => void;
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
  Listeners<LeadoutChatEvents> & {
    settings?: Partial<LeadoutChat["settings"]>;
    autoload?: boolean;
    forecast?: boolean;
    assets?: string;
    store?: "only" | "off";
    submits?: "answer" | "conversation";
  };

type LeadoutModelsProps = DetailedHTMLProps<HTMLAttributes<LeadoutModels>, LeadoutModels> &
  Partial<Pick<LeadoutModels, "hub" | "open">> &
  Listeners<LeadoutModelsEvents> & { assets?: string };

declare module "react" {
  namespace JSX {
    interface IntrinsicElements {
      "leadout-chat": LeadoutChatProps;
      "leadout-models": LeadoutModelsProps;
    }
  }
}
