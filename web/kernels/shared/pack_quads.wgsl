// For pack_quads of shared/packed.wgsl: each quad's largest value, and its sum when quantised.
var<workgroup> tops: array<f32, D / 4u>;
var<workgroup> quad_totals: array<i32, D / 4u>;
