// How the rows of a cycle are shared out, read at run time, so that all cycles share a pipeline. Keep in step with
// pyapp/leadout/lowering/choice.py.
struct Cycle {
  groups: u32,  // of rows, each of one lane
  drafts: u32,  // a group has 1 + drafts rows
  rows: u32,    // of all groups, and what pads the pass
  reserved: u32,
}
