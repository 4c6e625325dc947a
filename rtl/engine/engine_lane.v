// One token's epilogue: sat(rnd(((sum + bias) * multiplier + stream << lift) >> shift)), then a function.
//
// What is the same for all lanes comes beside the sum, delayed to the stage that needs it: s1 is one cycle
// after s_sum, and so on. m_code is the saturated code after six cycles, m_value what the function makes of
// it LATENCY cycles later. m_shifted is what is saturated, after five. DSP = 0 builds the multiplier from
// LUTs: a DSP block is better spent on the array's products, of which it makes several.

`default_nettype none

module engine_lane #(
    parameter SUM     = 26,
    parameter STREAM  = 16,
    parameter A_BITS  = 8,
    parameter LATENCY = 4,
    parameter SELECT  = 6,
    parameter TOTAL   = 52,
    parameter DSP     = 1
) (
    input  wire              aclk,
    input  wire [   SUM-1:0] s_sum,
    input  wire [   SUM-1:0] s_bias,
    input  wire [      16:0] s1_multiplier,
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
  wire signed [PRODUCT-1:0] rescaled;
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

  generate
    if (DSP) begin : g_dsp
      wire signed [17:0] multiplier = {1'b0, s1_multiplier};
      reg signed [PRODUCT-1:0] product, again;
      always @(posedge aclk) begin
        product <= biased * multiplier;
        again   <= product;
      end
      assign rescaled = again;
    end else begin : g_lut
      // Of shifted terms, in two halves that are added a cycle later.
      wire signed [PRODUCT-1:0] whole = {{(PRODUCT - SUM) {biased[SUM-1]}}, biased};
      reg [PRODUCT-1:0] low, high, low_next, high_next, both;
      integer n;
      always @* begin
        low_next  = {PRODUCT{1'b0}};
        high_next = {PRODUCT{1'b0}};
        for (n = 0; n < 8; n = n + 1) if (s1_multiplier[n]) low_next = low_next + (whole << n);
        for (n = 8; n < 17; n = n + 1) if (s1_multiplier[n]) high_next = high_next + (whole << n);
      end
      always @(posedge aclk) begin
        low  <= low_next;
        high <= high_next;
        both <= low + high;
      end
      assign rescaled = both;
    end
  endgenerate

  always @(posedge aclk) begin
    biased <= s_sum + s_bias;
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
