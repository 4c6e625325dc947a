// The multipliers of all engines, and some of LUTs, each over all of its codes: prints two lines a
// multiplier, then ends.
`default_nettype none

module engine_multiplier_bench (
    input wire aclk
);

  wire [5:0] done;
  wire [31:0] tried4[0:5], wrong4[0:5], tried8[0:5], wrong8[0:5];

  engine_multiplier_sweep #(
      .PAIR(1), .A_BITS(8), .A_GAP(0), .WEIGHTS(27), .N4(3), .G4(11), .N8(2), .G8(18)
  ) u_xcup_8 (
      .aclk(aclk), .tried4(tried4[0]), .wrong4(wrong4[0]), .tried8(tried8[0]), .wrong8(wrong8[0]),
      .done(done[0])
  );

  engine_multiplier_sweep #(
      .PAIR(2), .A_BITS(6), .A_GAP(18), .WEIGHTS(18), .N4(2), .G4(9), .N8(1), .G8(18)
  ) u_xcup_6 (
      .aclk(aclk), .tried4(tried4[1]), .wrong4(wrong4[1]), .tried8(tried8[1]), .wrong8(wrong8[1]),
      .done(done[1])
  );

  engine_multiplier_sweep #(
      .PAIR(1), .A_BITS(8), .A_GAP(0), .WEIGHTS(18), .N4(2), .G4(11), .N8(1), .G8(18)
  ) u_ecp5_8 (
      .aclk(aclk), .tried4(tried4[2]), .wrong4(wrong4[2]), .tried8(tried8[2]), .wrong8(wrong8[2]),
      .done(done[2])
  );

  engine_multiplier_sweep #(
      .PAIR(1), .A_BITS(6), .A_GAP(0), .WEIGHTS(18), .N4(2), .G4(9), .N8(1), .G8(18)
  ) u_ecp5_6 (
      .aclk(aclk), .tried4(tried4[3]), .wrong4(wrong4[3]), .tried8(tried8[3]), .wrong8(wrong8[3]),
      .done(done[3])
  );

  engine_multiplier_sweep #(
      .LUTS(1), .PAIR(1), .A_BITS(8), .A_GAP(0), .WEIGHTS(27), .N4(3), .G4(11), .N8(2), .G8(18)
  ) u_luts_xcup_8 (
      .aclk(aclk), .tried4(tried4[4]), .wrong4(wrong4[4]), .tried8(tried8[4]), .wrong8(wrong8[4]),
      .done(done[4])
  );

  engine_multiplier_sweep #(
      .LUTS(1), .PAIR(2), .A_BITS(6), .A_GAP(18), .WEIGHTS(18), .N4(2), .G4(9), .N8(1), .G8(18)
  ) u_luts_xcup_6 (
      .aclk(aclk), .tried4(tried4[5]), .wrong4(wrong4[5]), .tried8(tried8[5]), .wrong8(wrong8[5]),
      .done(done[5])
  );

  integer k;
  always @(posedge aclk)
    if (&done) begin
      for (k = 0; k < 6; k = k + 1) begin
        $display("%0d %0d", tried4[k], wrong4[k]);
        $display("%0d %0d", tried8[k], wrong8[k]);
      end
      $finish;
    end

endmodule

`default_nettype wire
