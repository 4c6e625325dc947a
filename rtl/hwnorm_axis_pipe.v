// Flow control of a pipeline of LATENCY stages: TVALID, TLAST and TUSER travel beside the data.
//
// The whole pipeline advances on `ce`: always, except while a result waits that is not taken.
// A stall freezes every stage at once, so nothing is lost, nothing overtakes, and no bubble appears.
// aresetn is synchronous and active low; `ce` loads the registers of the data pipeline.

`default_nettype none

module hwnorm_axis_pipe #(
    parameter LATENCY    = 1,
    parameter USER_WIDTH = 1
) (
    input wire aclk,
    input wire aresetn,

    output wire ce,

    input  wire                  s_valid,
    output wire                  s_ready,
    input  wire                  s_last,
    input  wire [USER_WIDTH-1:0] s_user,

    output wire                  m_valid,
    input  wire                  m_ready,
    output wire                  m_last,
    output wire [USER_WIDTH-1:0] m_user
);

  // Elaboration stops at a module that is not there.
  generate
    if (LATENCY < 1) begin : g_illegal_latency
      LATENCY_must_be_at_least_1 stop ();
    end
    if (USER_WIDTH < 1) begin : g_illegal_user_width
      USER_WIDTH_must_be_at_least_1 stop ();
    end
  endgenerate

  // Bit 0 is the first stage. TLAST and TUSER need no reset: TVALID says whether they count.
  reg [           LATENCY-1:0] valid;
  reg [           LATENCY-1:0] last;
  reg [LATENCY*USER_WIDTH-1:0] user;

  assign ce      = m_ready | ~m_valid;
  assign s_ready = ce;
  assign m_valid = valid[LATENCY-1];
  assign m_last  = last[LATENCY-1];
  assign m_user  = user[LATENCY*USER_WIDTH-1-:USER_WIDTH];

  generate
    if (LATENCY == 1) begin : g_one_stage
      always @(posedge aclk) begin
        if (!aresetn) valid <= 1'b0;
        else if (ce) valid <= s_valid;
        if (ce) begin
          last <= s_last;
          user <= s_user;
        end
      end
    end else begin : g_stages
      always @(posedge aclk) begin
        if (!aresetn) valid <= {LATENCY{1'b0}};
        else if (ce) valid <= {valid[LATENCY-2:0], s_valid};
        if (ce) begin
          last <= {last[LATENCY-2:0], s_last};
          user <= {user[(LATENCY-1)*USER_WIDTH-1:0], s_user};
        end
      end
    end
  endgenerate

endmodule

`default_nettype wire
