// Some engine_image of different geometries side by side: GEOMETRIES holds the parameters of each, 16 bits
// a parameter, the first of the first one lowest. Ports hold those of all, in places as wide as the widest.

`default_nettype none

module engine_image_bench #(
    parameter COUNT      = 1,
    parameter DATA       = 448,
    parameter GEOMETRIES = 144'd0
) (
    input  wire                  aclk,
    input  wire                  aresetn,
    input  wire [  COUNT*64-1:0] tdata,
    input  wire [     COUNT-1:0] tlast,
    input  wire [     COUNT-1:0] tvalid,
    output wire [     COUNT-1:0] tready,
    input  wire [     COUNT-1:0] done,
    input  wire [  COUNT*16-1:0] address,
    output wire [COUNT*DATA-1:0] data,
    output wire [   COUNT*2-1:0] ready,
    output wire [   COUNT*2-1:0] error
);

  genvar i;
  generate
    for (i = 0; i < COUNT; i = i + 1) begin : g_images
      localparam [143:0] G = GEOMETRIES[i*144+:144];
      localparam TOKENS = G[15:0], DEPTH = G[31:16], PIXELS = G[47:32];
      wire [TOKENS*DEPTH*8-1:0] words;
      assign data[i*DATA+:DATA] = {{DATA{1'b0}}, words};
      engine_image #(
          .TOKENS(TOKENS), .DEPTH(DEPTH), .PIXELS(PIXELS), .CHANNELS(G[63:48]), .ROWS(G[79:64]),
          .COLUMNS(G[95:80]), .HEIGHT(G[111:96]), .WIDTH(G[127:112]), .FIRST(G[143:128])
      ) image (
          .aclk(aclk), .aresetn(aresetn), .s_clear(1'b0),
          .s_axis_tdata(tdata[i*64+:PIXELS*8]), .s_axis_tlast(tlast[i]), .s_axis_tvalid(tvalid[i]),
          .s_axis_tready(tready[i]), .s_done(done[i]), .s_read(address[i*16+:16]), .m_data(words),
          .m_ready(ready[i*2+:2]), .m_early(error[i*2]), .m_late(error[i*2+1])
      );
    end
  endgenerate

endmodule

`default_nettype wire
