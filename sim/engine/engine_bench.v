// Whole images through the engine: what it makes of IMAGES images is written to a file, a line an image.
//
// Weights come a beat every INTERVAL cycles, pixels every cycle; logits are taken at once. Nothing else
// than the clock comes from outside. A line is cycles, busy, stall, the cycle of the image's start, and its
// logits.

`default_nettype none

module engine_bench #(
    parameter BEAT     = 128,
    parameter BEATS    = 1000,
    parameter PIXELS   = 4,
    parameter PIXEL_BEATS = 196,
    parameter IMAGES   = 1,
    parameter INTERVAL = 1,
    parameter LIMIT    = 1000000
) (
    input wire aclk
);

  reg [BEAT-1:0] weights[0:BEATS-1];
  reg [PIXELS*8-1:0] pixels[0:PIXEL_BEATS*IMAGES-1];
  integer results;
  initial begin
    $readmemh("weights.mem", weights);
    $readmemh("images.mem", pixels);
    results = $fopen("results.txt", "w");
  end

  reg aresetn = 1'b0;
  reg [63:0] now = 64'd0, since = 64'd0, begun = 64'd0;
  reg [31:0] beat = 32'd0, pixel = 32'd0, wait_for = 32'd0, finished = 32'd0;
  reg was_idle = 1'b1;
  wire idle, done, weights_ready, pixels_ready, logits_valid, logits_last;
  wire [31:0] error, cycles, busy, stall, images, logit;
  wire weights_valid = aresetn && wait_for == 32'd0;
  wire pixels_valid = aresetn && pixel < PIXEL_BEATS * IMAGES;

  always @(posedge aclk) begin
    now <= now + 64'd1;
    since <= since + 64'd1;
    aresetn <= now >= 64'd4;
    was_idle <= idle;
    if (was_idle && !idle) begun <= now;
    if (wait_for != 32'd0) wait_for <= wait_for - 32'd1;
    if (weights_valid && weights_ready) begin
      beat <= beat + 32'd1 == BEATS ? 32'd0 : beat + 32'd1;
      wait_for <= INTERVAL - 1;
    end
    if (pixels_valid && pixels_ready) pixel <= pixel + 32'd1;
    if (done) begin
      since <= 64'd0;
      $fwrite(results, "%0d %0d %0d %0d", cycles, busy, stall, begun);
    end
    if (logits_valid) begin
      $fwrite(results, " %0d", $signed(logit));
      if (logits_last) begin
        $fwrite(results, "\n");
        finished <= finished + 32'd1;
        if (finished + 32'd1 == IMAGES) $finish;
      end
    end
    if (error != 32'd0) begin
      $fwrite(results, "error %0d at cycle %0d\n", error, now);
      $finish;
    end
    if (since > LIMIT) begin
      $fwrite(results, "nothing for %0d cycles\n", since);
      $finish;
    end
  end

  engine engine (
      .aclk(aclk), .aresetn(aresetn), .s_clear(1'b0), .s_run(1'b1), .m_idle(idle), .m_done(done),
      .m_error(error), .m_cycles(cycles), .m_busy(busy), .m_stall(stall), .m_images(images),
      .s_weights_tdata(weights[beat]), .s_weights_tlast(beat + 32'd1 == BEATS),
      .s_weights_tvalid(weights_valid), .s_weights_tready(weights_ready),
      .s_image_tdata(pixels[pixel]), .s_image_tlast((pixel + 32'd1) % PIXEL_BEATS == 32'd0),
      .s_image_tvalid(pixels_valid), .s_image_tready(pixels_ready), .m_logits_tdata(logit),
      .m_logits_tlast(logits_last), .m_logits_tvalid(logits_valid), .m_logits_tready(1'b1)
  );

endmodule

`default_nettype wire
