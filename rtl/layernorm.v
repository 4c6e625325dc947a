// A streaming LayerNorm over D channels: y = (x - mean) / sqrt(variance + eps) * gamma + beta.
//
// It is the thing that hwnorm's kernels replace. LANES channels a beat, D / LANES beats a token.
// Tokens are counted from reset on. TLAST and TUSER travel with their beat: a stream may mark tokens,
// images, or nothing. A TLAST within a token says that the stream counts otherwise: then
// event_tlast_unexpected rises, and stays until reset. Results from the token of that TLAST on are void.
// While a token streams out, the next one streams in and is summed: a beat a cycle on both sides,
// no bubble between tokens. From the first beat in to the first out, where nobody stalls:
// D / LANES + 28 + clog2(LANES) + clog2(IN_WIDTH + clog2(D) + 6) cycles, 2 less without AFFINE.
//
//               +-- ring of beats, for two tokens ------------+
//    s_axis ----|                                             |--> layernorm_lane --> m_axis
//               +-- layernorm_moments, layernorm_rsqrt, queue-+
//
// The arithmetic is in integers. With codes x, S = sum(x), Q = sum(x^2) and E = D^2 eps,
//
//    (x - S/D) / sqrt(Q/D - (S/D)^2 + eps)  =  (D x - S) / sqrt(D Q - S^2 + E)
//
// and the right-hand side needs no division by D and no rounding: one pass, nothing is cancelled.
//    S        IN_WIDTH + clog2(D) bits, signed
//    Q        2 IN_WIDTH + clog2(D) bits, of which the first is zero
//    D x - S  IN_WIDTH + clog2(D) + 1 bits, signed
//    V        (D Q - S^2 + E) 2^GUARD in 2 (IN_WIDTH + clog2(D)) + GUARD bits. E is a constant, and
//             all that is rounded; the GUARD bits hide that where the variance is nearly zero.
// V = m 4^-k 2^(bits of V) with m in [1/4, 1). R = rsqrt(m), in (1, 2), of OUT_WIDTH + 3 bits, 17
// at most, is wrong by 1.2 * 2^-bits of itself at most: 0.3 ulp at full scale of 16 bits, 0.075 of 8.
// A = (D x - S) 2^k / 2^(IN_WIDTH + clog2(D)) is below sqrt(D): no channel is more than sqrt(D - 1)
// standard deviations from the mean. A and z = A R have as many bits behind the point as keep what
// is dropped, even times the largest gamma, to an eighth of an ulp. z gamma + beta is exact, then
// rounded half up and saturated. So a result is wrong by 5/8 ulp and those 0.3 or 0.075 ulp times
// z gamma / (full scale) at most: less than one ulp unless beta takes back what would not fit.
//
// gamma and beta are memories of D / LANES words of LANES elements, lane 0 lowest, read from
// GAMMA_FILE and BETA_FILE by $readmemh, at synthesis too. AFFINE = 0 leaves them out, as where
// they are folded into the next linear layer. EPS is in units of 2^-40: 1099512 is 1e-6.
//
// aresetn is synchronous and active low, and may come at any time: what was begun is forgotten.

`default_nettype none

module layernorm #(
    parameter D           = 192,
    parameter LANES       = 1,
    parameter IN_WIDTH    = 16,
    parameter IN_FRAC     = 10,
    parameter OUT_WIDTH   = 16,
    parameter OUT_FRAC    = 10,
    parameter AFFINE      = 0,
    parameter GAMMA_WIDTH = 16,
    parameter GAMMA_FRAC  = 12,
    parameter GAMMA_FILE  = "gamma.hex",
    parameter BETA_WIDTH  = 16,
    parameter BETA_FRAC   = 12,
    parameter BETA_FILE   = "beta.hex",
    parameter EPS         = 1099512,
    parameter USER_WIDTH  = 1
) (
    input wire aclk,
    input wire aresetn,

    input  wire [LANES*8*((IN_WIDTH+7)/8)-1:0] s_axis_tdata,
    input  wire                                s_axis_tvalid,
    output reg                                 s_axis_tready,
    input  wire                                s_axis_tlast,
    input  wire [              USER_WIDTH-1:0] s_axis_tuser,

    output reg event_tlast_unexpected,

    output wire [LANES*8*((OUT_WIDTH+7)/8)-1:0] m_axis_tdata,
    output wire                                 m_axis_tvalid,
    input  wire                                 m_axis_tready,
    output wire                                 m_axis_tlast,
    output wire [               USER_WIDTH-1:0] m_axis_tuser
);

  // Elaboration stops at a module that is not there; for that, it must not divide by zero first.
  localparam DIVISOR = LANES < 1 ? 1 : LANES;

  generate
    if (LANES < 1) begin : g_illegal_lanes
      LANES_must_be_at_least_1 stop ();
    end else if (D % DIVISOR != 0) begin : g_illegal_beats
      D_must_be_a_multiple_of_LANES stop ();
    end
    if (D < 2) begin : g_illegal_d
      D_must_be_at_least_2 stop ();
    end
    if (IN_WIDTH < 2 || IN_WIDTH > 24) begin : g_illegal_in_width
      IN_WIDTH_must_be_2_to_24 stop ();
    end
    if (OUT_WIDTH < 2 || OUT_WIDTH > 16) begin : g_illegal_out_width
      OUT_WIDTH_must_be_2_to_16 stop ();
    end
    if (IN_FRAC < 0 || OUT_FRAC < 0) begin : g_illegal_frac
      IN_FRAC_and_OUT_FRAC_must_not_be_negative stop ();
    end
    if (AFFINE != 0 && (GAMMA_WIDTH < 2 || GAMMA_FRAC < 0)) begin : g_illegal_gamma
      GAMMA_WIDTH_must_be_at_least_2_and_GAMMA_FRAC_not_negative stop ();
    end
    if (AFFINE != 0 && (BETA_WIDTH < 2 || BETA_FRAC < 0)) begin : g_illegal_beta
      BETA_WIDTH_must_be_at_least_2_and_BETA_FRAC_not_negative stop ();
    end
    if (USER_WIDTH < 1) begin : g_illegal_user_width
      USER_WIDTH_must_be_at_least_1 stop ();
    end
  endgenerate

  localparam BEATS = D / DIVISOR;
  localparam BEAT_BITS = BEATS > 1 ? $clog2(BEATS) : 1;
  localparam [BEAT_BITS-1:0] LAST_BEAT = BEATS[BEAT_BITS-1:0] - 1'b1;
  localparam IN_BYTES = (IN_WIDTH + 7) / 8;
  localparam OUT_BYTES = (OUT_WIDTH + 7) / 8;

  localparam SUM_WIDTH = IN_WIDTH + $clog2(D);
  localparam GUARD = 12;
  localparam V_WIDTH = 2 * SUM_WIDTH + GUARD;
  localparam K_WIDTH = $clog2(V_WIDTH / 2);
  // With a sign, no wider than a DSP block's second factor.
  localparam R_WIDTH = OUT_WIDTH < 15 ? OUT_WIDTH + 3 : 17;

  // Cycles from a token's last beat to its statistics in the queue.
  localparam STATISTICS = (8 + $clog2(LANES)) + (K_WIDTH + 9) + 1;
  // Two tokens; more where a token is shorter than its statistics take.
  localparam DEPTH = BEATS + (BEATS > STATISTICS + 4 ? BEATS : STATISTICS + 4);
  localparam ADDRESS_BITS = $clog2(DEPTH);
  localparam COUNT_BITS = $clog2(DEPTH + 1);
  localparam [COUNT_BITS-1:0] FULL = DEPTH[COUNT_BITS-1:0];
  localparam [ADDRESS_BITS-1:0] LAST_ADDRESS = DEPTH[ADDRESS_BITS-1:0] - 1'b1;
  // Each token in the queue has at least one beat in the ring, and each but the first has all.
  localparam QUEUE_BITS = $clog2((DEPTH - 1) / BEATS + 2);
  localparam QUEUE_WIDTH = SUM_WIDTH + K_WIDTH + R_WIDTH;
  localparam RING_WIDTH = USER_WIDTH + 1 + LANES * IN_WIDTH;

  // The beat that enters: into the ring, and to the sums.
  wire push = s_axis_tvalid & s_axis_tready;
  wire [LANES*IN_WIDTH-1:0] entering;
  reg [LANES*IN_WIDTH-1:0] entered;
  reg entered_valid;
  reg entered_first;
  reg entered_last;
  reg [BEAT_BITS-1:0] entering_beat;

  always @(posedge aclk) begin
    entered       <= entering;
    entered_first <= entering_beat == {BEAT_BITS{1'b0}};
    entered_last  <= entering_beat == LAST_BEAT;
    if (!aresetn) begin
      entered_valid <= 1'b0;
      entering_beat <= {BEAT_BITS{1'b0}};
      event_tlast_unexpected <= 1'b0;
    end else begin
      entered_valid <= push;
      if (push && s_axis_tlast && entering_beat != LAST_BEAT) event_tlast_unexpected <= 1'b1;
      if (push)
        entering_beat <= entering_beat == LAST_BEAT ? {BEAT_BITS{1'b0}} : entering_beat + 1'b1;
    end
  end

  wire moments_valid;
  wire signed [SUM_WIDTH-1:0] moments_sum;
  wire [V_WIDTH-1:0] moments_v;

  layernorm_moments #(
      .D       (D),
      .LANES   (LANES),
      .IN_WIDTH(IN_WIDTH),
      .IN_FRAC (IN_FRAC),
      .EPS     (EPS),
      .GUARD   (GUARD)
  ) u_moments (
      .aclk   (aclk),
      .aresetn(aresetn),
      .s_valid(entered_valid),
      .s_first(entered_first),
      .s_last (entered_last),
      .s_x    (entered),
      .m_valid(moments_valid),
      .m_sum  (moments_sum),
      .m_v    (moments_v)
  );

  wire rsqrt_valid;
  wire [SUM_WIDTH-1:0] rsqrt_sum;
  wire [K_WIDTH-1:0] rsqrt_k;
  wire [R_WIDTH-1:0] rsqrt_r;

  layernorm_rsqrt #(
      .V_WIDTH   (V_WIDTH),
      .K_WIDTH   (K_WIDTH),
      .R_WIDTH   (R_WIDTH),
      .USER_WIDTH(SUM_WIDTH)
  ) u_rsqrt (
      .aclk   (aclk),
      .aresetn(aresetn),
      .s_valid(moments_valid),
      .s_v    (moments_v),
      .s_user (moments_sum),
      .m_valid(rsqrt_valid),
      .m_k    (rsqrt_k),
      .m_r    (rsqrt_r),
      .m_user (rsqrt_sum)
  );

  // The statistics of tokens that wait for their turn; the ring lets no more in than fit here.
  reg [QUEUE_WIDTH-1:0] queue[0:(1<<QUEUE_BITS)-1];
  reg [QUEUE_BITS:0] queue_in;
  reg [QUEUE_BITS:0] queue_out;
  wire waiting = queue_in != queue_out;

  // The beat that leaves the ring.
  wire ce;
  wire pop = ce & waiting;
  reg [BEAT_BITS-1:0] leaving_beat;
  wire leaving_last = leaving_beat == LAST_BEAT;

  always @(posedge aclk) begin
    if (rsqrt_valid) queue[queue_in[QUEUE_BITS-1:0]] <= {rsqrt_sum, rsqrt_k, rsqrt_r};
    if (!aresetn) begin
      queue_in     <= {(QUEUE_BITS + 1) {1'b0}};
      queue_out    <= {(QUEUE_BITS + 1) {1'b0}};
      leaving_beat <= {BEAT_BITS{1'b0}};
    end else begin
      if (rsqrt_valid) queue_in <= queue_in + 1'b1;
      if (pop) begin
        leaving_beat <= leaving_last ? {BEAT_BITS{1'b0}} : leaving_beat + 1'b1;
        if (leaving_last) queue_out <= queue_out + 1'b1;
      end
    end
  end

  // A slot is never read and written in the same cycle: the ring is then full or empty.
  (* no_rw_check *)reg [RING_WIDTH-1:0] ring[0:DEPTH-1];
  reg [ADDRESS_BITS-1:0] ring_in;
  reg [ADDRESS_BITS-1:0] ring_out;
  reg [COUNT_BITS-1:0] count;
  wire [COUNT_BITS-1:0] count_next =
      count + {{(COUNT_BITS - 1) {1'b0}}, push} - {{(COUNT_BITS - 1) {1'b0}}, pop};

  always @(posedge aclk) begin
    if (push) ring[ring_in] <= {s_axis_tuser, s_axis_tlast, entering};
    if (!aresetn) begin
      ring_in       <= {ADDRESS_BITS{1'b0}};
      ring_out      <= {ADDRESS_BITS{1'b0}};
      count         <= {COUNT_BITS{1'b0}};
      s_axis_tready <= 1'b0;
    end else begin
      if (push) ring_in <= ring_in == LAST_ADDRESS ? {ADDRESS_BITS{1'b0}} : ring_in + 1'b1;
      if (pop) ring_out <= ring_out == LAST_ADDRESS ? {ADDRESS_BITS{1'b0}} : ring_out + 1'b1;
      count         <= count_next;
      s_axis_tready <= count_next != FULL;
    end
  end

  // Two registers behind the ring, as block RAM has them; the token's statistics go along.
  reg [ RING_WIDTH-1:0] beat_0;
  reg [ RING_WIDTH-1:0] beat_1;
  reg [QUEUE_WIDTH-1:0] token_0;
  reg [QUEUE_WIDTH-1:0] token_1;
  reg [  BEAT_BITS-1:0] index_0;
  reg [  BEAT_BITS-1:0] index_1;
  reg                   valid_0;
  reg                   valid_1;

  always @(posedge aclk) begin
    if (!aresetn) begin
      valid_0 <= 1'b0;
      valid_1 <= 1'b0;
    end else if (ce) begin
      valid_0 <= waiting;
      valid_1 <= valid_0;
    end
    if (ce) begin
      beat_0  <= ring[ring_out];
      beat_1  <= beat_0;
      token_0 <= queue[queue_out[QUEUE_BITS-1:0]];
      token_1 <= token_0;
      index_0 <= leaving_beat;
      index_1 <= index_0;
    end
  end

  wire unused_ready;

  hwnorm_axis_pipe #(
      .LATENCY   (AFFINE != 0 ? 9 : 7),
      .USER_WIDTH(USER_WIDTH)
  ) u_pipe (
      .aclk   (aclk),
      .aresetn(aresetn),
      .ce     (ce),
      .s_valid(valid_1),
      .s_ready(unused_ready),
      .s_last (beat_1[LANES*IN_WIDTH]),
      .s_user (beat_1[RING_WIDTH-1-:USER_WIDTH]),
      .m_valid(m_axis_tvalid),
      .m_ready(m_axis_tready),
      .m_last (m_axis_tlast),
      .m_user (m_axis_tuser)
  );

  // The statistics at the stages of layernorm_lane that need them.
  wire [SUM_WIDTH-1:0] sum = token_1[QUEUE_WIDTH-1-:SUM_WIDTH];
  wire [  K_WIDTH-1:0] k = token_1[R_WIDTH+:K_WIDTH];
  wire [  R_WIDTH-1:0] r = token_1[0+:R_WIDTH];
  reg  [SUM_WIDTH-1:0] sum_2;
  reg [K_WIDTH-1:0] k_2, k_3, k_4;
  reg [R_WIDTH-1:0] r_2, r_3, r_4, r_5;

  always @(posedge aclk) begin
    if (ce) begin
      sum_2 <= sum;
      {k_2, k_3, k_4} <= {k, k_2, k_3};
      {r_2, r_3, r_4, r_5} <= {r, r_2, r_3, r_4};
    end
  end

  // gamma and beta of the beat, at the stage that needs them.
  wire [LANES*GAMMA_WIDTH-1:0] gamma_7;
  wire [ LANES*BETA_WIDTH-1:0] beta_7;

  generate
    if (AFFINE != 0) begin : g_affine
      reg [LANES*GAMMA_WIDTH-1:0] gammas[0:BEATS-1];
      reg [LANES*BETA_WIDTH-1:0] betas[0:BEATS-1];
      reg [BEAT_BITS-1:0] index_2, index_3, index_4, index_5;
      reg [LANES*GAMMA_WIDTH-1:0] gamma_read, gamma_out;
      reg [LANES*BETA_WIDTH-1:0] beta_read, beta_out;

      initial begin
        $readmemh(GAMMA_FILE, gammas);
        $readmemh(BETA_FILE, betas);
      end

      always @(posedge aclk) begin
        if (ce) begin
          {index_2, index_3, index_4, index_5} <= {index_1, index_2, index_3, index_4};
          gamma_read <= gammas[index_5];
          gamma_out  <= gamma_read;
          beta_read  <= betas[index_5];
          beta_out   <= beta_read;
        end
      end

      assign gamma_7 = gamma_out;
      assign beta_7  = beta_out;
    end else begin : g_plain
      assign gamma_7 = {(LANES * GAMMA_WIDTH) {1'b0}};
      assign beta_7  = {(LANES * BETA_WIDTH) {1'b0}};
      wire unused_files = &{1'b0, GAMMA_FILE, BETA_FILE, index_1};
    end
  endgenerate

  genvar lane;
  generate
    for (lane = 0; lane < LANES; lane = lane + 1) begin : g_lane
      wire signed [OUT_WIDTH-1:0] y;

      assign entering[lane*IN_WIDTH+:IN_WIDTH] = s_axis_tdata[lane*8*IN_BYTES+:IN_WIDTH];

      layernorm_lane #(
          .D          (D),
          .IN_WIDTH   (IN_WIDTH),
          .OUT_WIDTH  (OUT_WIDTH),
          .OUT_FRAC   (OUT_FRAC),
          .AFFINE     (AFFINE),
          .GAMMA_WIDTH(GAMMA_WIDTH),
          .GAMMA_FRAC (GAMMA_FRAC),
          .BETA_WIDTH (BETA_WIDTH),
          .BETA_FRAC  (BETA_FRAC),
          .K_WIDTH    (K_WIDTH),
          .R_WIDTH    (R_WIDTH)
      ) u_lane (
          .aclk   (aclk),
          .ce     (ce),
          .x_1    (beat_1[lane*IN_WIDTH+:IN_WIDTH]),
          .sum_2  (sum_2),
          .k_3    (k_3),
          .k_4    (k_4),
          .r_5    (r_5),
          .gamma_7(gamma_7[lane*GAMMA_WIDTH+:GAMMA_WIDTH]),
          .beta_7 (beta_7[lane*BETA_WIDTH+:BETA_WIDTH]),
          .y      (y)
      );

      if (8 * OUT_BYTES > OUT_WIDTH) begin : g_extend
        assign m_axis_tdata[lane*8*OUT_BYTES+:8*OUT_BYTES] = {
          {(8 * OUT_BYTES - OUT_WIDTH) {y[OUT_WIDTH-1]}}, y
        };
      end else begin : g_whole
        assign m_axis_tdata[lane*8*OUT_BYTES+:8*OUT_BYTES] = y;
      end
      if (8 * IN_BYTES > IN_WIDTH) begin : g_unused
        // The sign's copies in TDATA.
        wire unused = &{1'b0, s_axis_tdata[lane*8*IN_BYTES+IN_WIDTH+:8*IN_BYTES-IN_WIDTH]};
      end
    end
  endgenerate

endmodule

`default_nettype wire
