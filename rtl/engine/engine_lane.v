// One token's epilogue: sat(rnd(((sum + bias) * multiplier + stream << lift) >> shift)), then a function.
//
// What is the same for all lanes comes beside the sum, delayed to the stage that needs it: s1 is one cycle
// after s_sum, and so on. m_code is the saturated code after six cycles, m_value what the function makes of
// it LATENCY cycles later. m_shifted is what is saturated, after five.

`default_nettype none

module engine_lane #(
    parameter SUM     = 26,
    parameter STREAM  = 16,
    parameter A_BITS  = 8,
    parameter LATENCY = 4,
    parameter SELECT  = 6,
    parameter TOTAL   = 52
) (
    input  wire              aclk,
    input  wire [   SUM-1:0] s_sum,
    input  wire [   SUM-1:0] s_bias,
    input  wire [      17:0] s1_multiplier,
    input  wire              s3_present,
    input  wire              s3_added,
    input  wire [STREAM-1:0] s3_stream,
    input  wire [       5:0] s3_lift,
    input  wire [ TOTAL-1:0] s3_half,
    input  wire [       5:0] s4_shift,
    input  wire [STREAM-1:0] s5_most,
    input  wire [SELECT-1:0] s6_function,
    output wire [ TOTAL-1:0] m_shifted,
    output reg  [STREAM-1:0] m_code,
    output wire [A_BITS-1:0] m_value
);

  localparam PRODUCT = SUM + 18;

  // SUM bits hold the sum with its bias too.
  reg signed [SUM-1:0] biased;
  reg signed [PRODUCT-1:0] product, rescaled;
  reg signed [TOTAL-1:0] total, shifted;

  generate
    if (TOTAL <= STREAM) begin : g_illegal_total
      TOTAL_must_have_more_bits_than_STREAM stop ();
    end
    if (A_BITS > STREAM) begin : g_illegal_a_bits
      A_BITS_must_be_at_most_STREAM stop ();
    end
  endgenerate

  assign m_shifted = shifted;
  wire signed [17:0] multiplier = s1_multiplier;
  wire signed [TOTAL-1:0] stream = {{(TOTAL - STREAM) {s3_stream[STREAM-1]}}, s3_stream};
  wire signed [TOTAL-1:0] most = {{(TOTAL - STREAM) {1'b0}}, s5_most};

  wire signed [TOTAL-1:0] scaled;
  generate
    if (TOTAL > PRODUCT) begin : g_wider
      assign scaled = {{(TOTAL - PRODUCT) {rescaled[PRODUCT-1]}}, rescaled};
    end else begin : g_narrower
      // What is left out are copies of the sign: TOTAL holds every result (hwnorm/engine/program.py).
      wire unused = &{1'b0, rescaled[PRODUCT-1:TOTAL-1]};
      assign scaled = rescaled[TOTAL-1:0];
    end
  endgenerate

  always @(posedge aclk) begin
    biased <= s_sum + s_bias;
    product <= biased * multiplier;
    rescaled <= product;
    total <= (s3_present ? scaled : {TOTAL{1'b0}}) + (s3_added ? stream <<< s3_lift : {TOTAL{1'b0}}) + s3_half;
    shifted <= total >>> s4_shift;
    m_code <= shifted > most ? most[STREAM-1:0] : shifted < ~most ? ~most[STREAM-1:0] : shifted[STREAM-1:0];
  end

  engine_functions #(
      .STREAM(STREAM), .A_BITS(A_BITS), .LATENCY(LATENCY), .SELECT(SELECT)
  ) functions (
      .aclk(aclk), .s_function(s6_function), .s_code(m_code), .m_value(m_value)
  );

endmodule

`default_nettype wire
