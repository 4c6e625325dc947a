// Packings of both devices, each over all of its codes: prints one line a packing, then ends.
`default_nettype none

module packed_multiplier_bench (
    input wire aclk
);

  wire [5:0] done;
  wire [31:0] tried[0:5];
  wire [31:0] wrong[0:5];

  packed_multiplier_sweep #(
      .WIDE_COUNT(3), .WIDE_BITS(4), .NARROW_COUNT(1), .NARROW_BITS(8), .GAP(11)
  ) u_xcup_w4a8 (.aclk(aclk), .tried(tried[0]), .wrong(wrong[0]), .done(done[0]));

  packed_multiplier_sweep #(
      .WIDE_COUNT(2), .WIDE_BITS(4), .NARROW_COUNT(2), .NARROW_BITS(6), .GAP(9), .INNER_WIDE(0)
  ) u_xcup_w4a6 (.aclk(aclk), .tried(tried[1]), .wrong(wrong[1]), .done(done[1]));

  packed_multiplier_sweep #(
      .WIDE_COUNT(2), .WIDE_BITS(8), .NARROW_COUNT(1), .NARROW_BITS(8), .GAP(15)
  ) u_xcup_w8a8 (.aclk(aclk), .tried(tried[2]), .wrong(wrong[2]), .done(done[2]));

  packed_multiplier_sweep #(
      .WIDE_COUNT(2), .WIDE_BITS(4), .NARROW_COUNT(3), .NARROW_BITS(4), .GAP(7),
      .INNER_WIDE(0), .WEIGHTS_WIDE(0)
  ) u_xcup_w4a4 (.aclk(aclk), .tried(tried[3]), .wrong(wrong[3]), .done(done[3]));

  packed_multiplier_sweep #(
      .WIDE_PORT(18), .WIDE_COUNT(2), .WIDE_BITS(4), .NARROW_COUNT(1), .NARROW_BITS(8), .GAP(11)
  ) u_ecp5_w4a8 (.aclk(aclk), .tried(tried[4]), .wrong(wrong[4]), .done(done[4]));

  packed_multiplier_sweep #(
      .WIDE_PORT(18), .WIDE_COUNT(2), .WIDE_BITS(4), .NARROW_COUNT(2), .NARROW_BITS(4), .GAP(7),
      .WEIGHTS_WIDE(0)
  ) u_ecp5_w4a4 (.aclk(aclk), .tried(tried[5]), .wrong(wrong[5]), .done(done[5]));

  integer k;
  always @(posedge aclk)
    if (&done) begin
      for (k = 0; k < 6; k = k + 1) $display("%0d %0d", tried[k], wrong[k]);
      $finish;
    end

endmodule

`default_nettype wire
