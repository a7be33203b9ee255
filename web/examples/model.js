/** Which model the examples load; `?model=…` names another one, by a name or an address. */
export const model = new URLSearchParams(location.search).get("model") ?? "gemma-4-e2b";
