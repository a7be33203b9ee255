/**
 * The engine's worker, which also tells of its requests: on the channel that has the worker's own name.
 *
 * @module desk/counted_worker
 */

import "../worker.js";
import { watchRequests } from "./requests.js";

const channel = new BroadcastChannel(self.name);
watchRequests((requests) => channel.postMessage(requests));
