// One-beat skid buffer: registers s_ready without adding latency while beats flow.
//
// A beat passes straight through when the stage behind is ready. When it is not, the beat that was
// already promised (s_ready is a register, so it is one cycle late) waits here. Chained kernels
// therefore have no combinational path from the last m_axis_tready to the first s_axis_tready.
// aresetn is synchronous and active low; s_ready is low during reset, then: nothing is waiting.

`default_nettype none

module hwnorm_axis_skid #(
    parameter WIDTH = 8
) (
    input wire aclk,
    input wire aresetn,

    input  wire [WIDTH-1:0] s_beat,
    input  wire             s_valid,
    output reg              s_ready,

    output wire [WIDTH-1:0] m_beat,
    output wire             m_valid,
    input  wire             m_ready
);

  // Elaboration stops at a module that is not there.
  generate
    if (WIDTH < 1) begin : g_illegal_width
      WIDTH_must_be_at_least_1 stop ();
    end
  endgenerate

  reg             waiting;
  reg [WIDTH-1:0] waiting_beat;

  assign m_beat  = waiting ? waiting_beat : s_beat;
  assign m_valid = waiting | (s_valid & s_ready);

  // After this cycle a beat waits if there is one now and the stage behind does not take it.
  wire waits = m_valid & ~m_ready;

  always @(posedge aclk) begin
    if (!aresetn) begin
      waiting <= 1'b0;
      s_ready <= 1'b0;
    end else begin
      waiting <= waits;
      s_ready <= ~waits;
    end
    if (s_ready) waiting_beat <= s_beat;
  end

endmodule

`default_nettype wire
