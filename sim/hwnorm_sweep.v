// Sends beats through an AXI4-Stream stage back to back, every code of a kernel, and keeps what comes out.
//
// After `start`, one beat is offered each cycle: the words of CODES_FILE. Results are kept in order as
// whole m_axis_tdata words, so that lane order and sign extension are seen too, and written to
// RESULTS_FILE. `first_result` and `last_result` count cycles from the first accepted beat. A stage that
// loses beats ends at LIMIT cycles, its missing results all x. `y` is what the combinational core makes of
// lane 0 of s_tdata; `differing` counts the results whose lane 0 is something else. Simulation only.

`default_nettype none

module hwnorm_sweep #(
    parameter BEATS        = 1,
    parameter S_WIDTH      = 8,
    parameter M_WIDTH      = 8,
    parameter Y_WIDTH      = 8,
    parameter LIMIT        = 1024,
    parameter CODES_FILE   = "codes.hex",
    parameter RESULTS_FILE = "results.hex"
) (
    input  wire aclk,
    input  wire start,
    output reg  done,

    output wire [S_WIDTH-1:0] s_tdata,
    output wire               s_tvalid,
    input  wire               s_tready,
    output wire               s_tlast,

    input wire [M_WIDTH-1:0] m_tdata,
    input wire               m_tvalid,

    input wire [Y_WIDTH-1:0] y,

    output reg [31:0] received,
    output reg [31:0] first_result,
    output reg [31:0] last_result,
    output reg [31:0] differing
);

  reg [S_WIDTH-1:0] codes   [0:BEATS-1];
  reg [M_WIDTH-1:0] results [0:BEATS-1];
  reg [Y_WIDTH-1:0] direct  [0:BEATS-1];
  reg [31:0] sent;
  reg [31:0] cycle;

  initial begin
    done = 1'b0;
    sent = 32'd0;
    cycle = 32'd0;
    received = 32'd0;
    first_result = 32'd0;
    last_result = 32'd0;
    differing = 32'd0;
    $readmemh(CODES_FILE, codes);
  end

  assign s_tvalid = start & (sent != BEATS);
  assign s_tlast  = sent == BEATS - 1;
  assign s_tdata  = codes[s_tvalid?sent : 0];

  always @(posedge aclk) begin
    if (start & ~done) begin
      if (s_tvalid & s_tready) begin
        direct[sent] <= y;
        sent <= sent + 1;
      end
      if (sent != 0 | (s_tvalid & s_tready)) cycle <= cycle + 1;
      if (m_tvalid & (received != BEATS)) begin
        results[received] <= m_tdata;
        if (m_tdata[Y_WIDTH-1:0] !== direct[received]) differing <= differing + 1;
        received <= received + 1;
        if (received == 0) first_result <= cycle;
        last_result <= cycle;
      end
      if (received == BEATS | cycle == LIMIT) begin
        $writememh(RESULTS_FILE, results);
        done <= 1'b1;
      end
    end
  end

endmodule

`default_nettype wire
