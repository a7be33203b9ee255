// What a dispatch has of the experts' weights, read at run time, so that all shards share a pipeline. Keep in step with
// pyapp/leadout/lowering/experts.py.
struct ExpertShard {
  first: u32,   // row of [experts * N, K]
  count: u32,   // rows
  offset: u32,  // of the result: the column that an expert's first output goes to
  reserved: u32,
}
