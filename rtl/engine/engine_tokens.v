// What the array does for PAIR tokens, whose activations share its multipliers: products, their sum over the
// depth and over the words, and the rows that are drained while the next sums grow.
//
// Four cycles after s_activations and s_weights the sum over the depth is there: then s_sum adds it to the
// totals, or s_first begins them anew; with s_lift the totals so far count for 16 times as much, where
// activations have too few bits for pixels. s_load copies the totals to be drained.

`default_nettype none

module engine_tokens #(
    parameter COLUMNS = 4,
    parameter LUT_COLUMNS = 0,
    parameter DEPTH   = 8,
    parameter A_BITS  = 8,
    parameter PAIR    = 1,
    parameter A_GAP   = 0,
    parameter WEIGHTS = 27,
    parameter N4      = 3,
    parameter G4      = 11,
    parameter N8      = 2,
    parameter G8      = 18,
    parameter SUM     = 26
) (
    input  wire                             aclk,
    input  wire                             s_mode8,
    input  wire [    PAIR*DEPTH*A_BITS-1:0] s_activations,
    input  wire [COLUMNS*DEPTH*WEIGHTS-1:0] s_weights,
    input  wire                             s_sum,
    input  wire                             s_first,
    input  wire                             s_lift,
    input  wire                             s_load,
    input  wire                             s_next,
    output reg  [             PAIR*SUM-1:0] m_row
);
  /* verilator no_inline_module */

  localparam ROWS = N4 * COLUMNS;
  localparam PRODUCT = 8 + A_BITS;
  localparam TREE = PRODUCT + (DEPTH > 1 ? $clog2(DEPTH) : 0);

  genvar c, d, l, j, n, r;

  // ---- activations of a pair stand at their places, once for all columns ----
  localparam ACTIVATIONS = A_BITS + (PAIR - 1) * A_GAP + (PAIR > 1);
  localparam PARTS = N4 > 2 * N8 ? N4 : 2 * N8;
  wire [DEPTH*ACTIVATIONS-1:0] activations;
  wire [DEPTH*PAIR*A_BITS-1:0] codes;
  generate
    for (d = 0; d < DEPTH; d = d + 1) begin : g_activations
      wire [A_BITS-1:0] first = s_activations[d*A_BITS+:A_BITS];
      assign codes[d*PAIR*A_BITS+:A_BITS] = first;
      if (PAIR == 1) begin : g_one
        assign activations[d*ACTIVATIONS+:ACTIVATIONS] = first;
      end else begin : g_two
        wire [A_BITS-1:0] second = s_activations[(DEPTH+d)*A_BITS+:A_BITS];
        assign codes[(d*PAIR+1)*A_BITS+:A_BITS] = second;
        wire [ACTIVATIONS-1:0] low = {{(ACTIVATIONS - A_BITS) {first[A_BITS-1]}}, first};
        wire [ACTIVATIONS-1:0] high = {second[A_BITS-1], second, {A_GAP{1'b0}}};
        assign activations[d*ACTIVATIONS+:ACTIVATIONS] = high + low;
      end
    end
  endgenerate

  // Activations of 8 bits hold pixels; all columns may be of a kind.
  wire unused = &{1'b0, s_lift, codes, activations};

  // ---- the row that is drained ----
  localparam ROW = ROWS > 1 ? $clog2(ROWS) : 1;
  reg [ROW-1:0] row_next;
  wire [ROW-1:0] row = s_load ? {ROW{1'b0}} : row_next;
  always @(posedge aclk) if (s_load || s_next) row_next <= row + 1'b1;

  generate
    for (c = 0; c < COLUMNS; c = c + 1) begin : g_columns
      for (d = 0; d < DEPTH; d = d + 1) begin : g_depth
        wire [PAIR*N4*PRODUCT-1:0] products;
        wire [PAIR*N4-1:0] borrowed;
        if (c < COLUMNS - LUT_COLUMNS) begin : g_shared
          engine_multiplier #(
              .PAIR(PAIR), .A_BITS(A_BITS), .A_GAP(A_GAP), .WEIGHTS(WEIGHTS),
              .N4(N4), .G4(G4), .N8(N8), .G8(G8)
          ) multiplier (
              .aclk(aclk),
              .s_mode8(s_mode8),
              .s_activations(activations[d*ACTIVATIONS+:ACTIVATIONS]),
              .s_weights(s_weights[(c*DEPTH+d)*WEIGHTS+:WEIGHTS]),
              .m_products(products),
              .m_borrowed(borrowed)
          );
        end else begin : g_luts
          wire unused_weights = &{1'b0, s_weights[(c*DEPTH+d+1)*WEIGHTS-1:(c*DEPTH+d)*WEIGHTS+PARTS*6]};
          engine_lut_multiplier #(
              .PAIR(PAIR), .A_BITS(A_BITS), .N4(N4), .G4(G4), .N8(N8)
          ) multiplier (
              .aclk(aclk),
              .s_mode8(s_mode8),
              .s_activations(codes[d*PAIR*A_BITS+:PAIR*A_BITS]),
              .s_weights(s_weights[(c*DEPTH+d)*WEIGHTS+:PARTS*6]),
              .m_products(products),
              .m_borrowed(borrowed)
          );
        end
      end
      for (l = 0; l < PAIR * N4; l = l + 1) begin : g_lanes
        // Weights of 4 bits alone come to the lanes from N8 on: their products are shorter.
        localparam WIDTH = l % N4 < N8 ? PRODUCT : G4;
        localparam GROWN = WIDTH + TREE - PRODUCT;
        // Node n is the sum of nodes 2n and 2n + 1; the last DEPTH nodes are the products.
        for (n = 1; n < 2 * DEPTH; n = n + 1) begin : g_node
          wire signed [GROWN-1:0] value;
          if (n >= DEPTH) begin : g_leaf
            wire [PRODUCT-1:0] product = g_columns[c].g_depth[n-DEPTH].products[l*PRODUCT+:PRODUCT];
            if (WIDTH < PRODUCT) begin : g_short
              wire unused_product = &{1'b0, product[PRODUCT-1:WIDTH]};
            end
            if (GROWN > WIDTH) begin : g_extended
              assign value = {{(GROWN - WIDTH) {product[WIDTH-1]}}, product[WIDTH-1:0]};
            end else begin : g_whole
              assign value = product[WIDTH-1:0];
            end
          end else begin : g_sum
            wire unused_carry;
            assign {value, unused_carry} = {g_node[2*n].value, 1'b1} +
                {g_node[2*n+1].value, g_columns[c].g_depth[n].borrowed[l]};
          end
        end
        reg signed [GROWN-1:0] tree;
        reg borrowed_first;
        reg signed [SUM-1:0] total;
        // What is kept of the totals is chosen in front of the addition: a LUT a bit, and a carry.
        wire signed [SUM-1:0] kept;
        if (A_BITS < 8) begin : g_lift
          assign kept = s_first ? {SUM{1'b0}} : s_lift ? total <<< 4 : total;
        end else begin : g_stay
          assign kept = s_first ? {SUM{1'b0}} : total;
        end
        wire signed [SUM-1:0] more = {{(SUM - GROWN) {tree[GROWN-1]}}, tree};
        wire signed [SUM-1:0] next;
        wire unused_carry;
        assign {next, unused_carry} = {more, 1'b1} + {kept, borrowed_first};
        always @(posedge aclk) begin
          tree <= g_node[1].value;
          borrowed_first <= g_columns[c].g_depth[0].borrowed[l];
          if (s_sum) total <= next;
        end
      end
    end

    // A row is chosen among those held; the first one is on its way out while the others are loaded.
    for (j = 0; j < PAIR; j = j + 1) begin : g_drain
      wire [ROWS*SUM-1:0] rows;
      for (r = 0; r < ROWS; r = r + 1) begin : g_rows
        wire [SUM-1:0] total = g_columns[r%COLUMNS].g_lanes[j*N4+r/COLUMNS].total;
        if (r == 0) begin : g_first
          assign rows[0+:SUM] = total;
        end else begin : g_held
          reg [SUM-1:0] held;
          always @(posedge aclk) if (s_load) held <= total;
          assign rows[r*SUM+:SUM] = held;
        end
      end
      always @(posedge aclk) if (s_load || s_next) m_row[j*SUM+:SUM] <= rows[row*SUM+:SUM];
    end
  endgenerate

endmodule

`default_nettype wire
