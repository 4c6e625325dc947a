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
    input  wire              s2_added,
    input  wire [STREAM-1:0] s2_stream,
    input  wire [       5:0] s2_lift,
    input  wire              s3_present,
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
  wire signed [SUM-1:0] biased_next = s_sum + s_bias;
  reg signed [SUM-1:0] biased;
  wire signed [PRODUCT-1:0] rescaled;
  reg signed [TOTAL-1:0] lifted, total, shifted;

  generate
    if (TOTAL <= STREAM) begin : g_illegal_total
      TOTAL_must_have_more_bits_than_STREAM stop ();
    end
    if (A_BITS > STREAM) begin : g_illegal_a_bits
      A_BITS_must_be_at_most_STREAM stop ();
    end
  endgenerate

  assign m_shifted = shifted;
  wire signed [TOTAL-1:0] stream = {{(TOTAL - STREAM) {s2_stream[STREAM-1]}}, s2_stream};
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
      // By digits of two bits: each names none, one, two or three times the sum. A step leaves the lowest two
      // bits of the steps before it as they are, and adds its digit's term to the rest. Two halves of the
      // digits are added a cycle later.
      localparam STEP = SUM + 2;
      wire signed [STEP-1:0] once = {{2{biased[SUM-1]}}, biased};
      wire signed [STEP-1:0] first = {{2{biased_next[SUM-1]}}, biased_next};
      wire [17:0] factor = {1'b0, s1_multiplier};
      reg signed [STEP-1:0] thrice;
      reg signed [SUM+7:0] low;
      reg signed [SUM+9:0] high;
      reg signed [PRODUCT-1:0] both;
      genvar n;
      for (n = 0; n < 9; n = n + 1) begin : g_digits
        reg signed [STEP-1:0] term;
        wire signed [STEP-1:0] sum;
        always @* begin
          case (factor[2*n+:2])
            2'd0: term = {STEP{1'b0}};
            2'd1: term = once;
            2'd2: term = once <<< 1;
            default: term = thrice;
          endcase
        end
        if (n % 4 == 0 && n < 8) begin : g_first
          assign sum = term;
        end else begin : g_next
          assign sum = (g_digits[n-1].sum >>> 2) + term;
        end
      end
      wire signed [SUM+9:0] above = {{10{low[SUM+7]}}, low[SUM+7:8]};
      always @(posedge aclk) begin
        thrice <= first + (first <<< 1);
        low <= {g_digits[3].sum, g_digits[2].sum[1:0], g_digits[1].sum[1:0], g_digits[0].sum[1:0]};
        high <= {g_digits[8].sum, g_digits[7].sum[1:0], g_digits[6].sum[1:0], g_digits[5].sum[1:0],
                 g_digits[4].sum[1:0]};
        both <= {high + above, low[7:0]};
      end
      assign rescaled = both;
    end
  endgenerate

  always @(posedge aclk) begin
    biased <= biased_next;
    lifted <= s2_added ? stream <<< s2_lift : {TOTAL{1'b0}};
    total <= (s3_present ? scaled : {TOTAL{1'b0}}) + lifted + s3_half;
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
