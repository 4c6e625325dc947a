"""A stream kernel defined wholly outside hwnorm: the largest element of a token so far."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwnorm.fixed import FixedFormat
from hwnorm.kernel import StreamKernel
from hwnorm.kernel.manifest import PackageManifest
from hwnorm.resources import resource

VERILOG = """\
// y = the largest element of the token so far, one lane, BEATS beats a token, counted from reset on.
`default_nettype none

module running_maximum #(
    parameter BEATS      = 2,
    parameter USER_WIDTH = 1
) (
    input wire aclk,
    input wire aresetn,

    input  wire [          15:0] s_axis_tdata,
    input  wire                  s_axis_tvalid,
    output wire                  s_axis_tready,
    input  wire                  s_axis_tlast,
    input  wire [USER_WIDTH-1:0] s_axis_tuser,

    output wire [          15:0] m_axis_tdata,
    output wire                  m_axis_tvalid,
    input  wire                  m_axis_tready,
    output wire                  m_axis_tlast,
    output wire [USER_WIDTH-1:0] m_axis_tuser
);

  wire ce, valid, ready, last;
  wire [USER_WIDTH-1:0] user;
  wire [15:0] data;

  hwnorm_axis_skid #(
      .WIDTH(USER_WIDTH + 17)
  ) u_skid (
      .aclk   (aclk),
      .aresetn(aresetn),
      .s_beat ({s_axis_tuser, s_axis_tlast, s_axis_tdata}),
      .s_valid(s_axis_tvalid),
      .s_ready(s_axis_tready),
      .m_beat ({user, last, data}),
      .m_valid(valid),
      .m_ready(ready)
  );

  hwnorm_axis_pipe #(
      .LATENCY   (1),
      .USER_WIDTH(USER_WIDTH)
  ) u_pipe (
      .aclk   (aclk),
      .aresetn(aresetn),
      .ce     (ce),
      .s_valid(valid),
      .s_ready(ready),
      .s_last (last),
      .s_user (user),
      .m_valid(m_axis_tvalid),
      .m_ready(m_axis_tready),
      .m_last (m_axis_tlast),
      .m_user (m_axis_tuser)
  );

  reg [31:0] beat;
  reg signed [9:0] largest;
  wire signed [9:0] x = data[9:0];

  always @(posedge aclk) begin
    if (!aresetn) beat <= 32'd0;
    else if (ce & valid) beat <= beat == BEATS - 1 ? 32'd0 : beat + 32'd1;
    if (ce & valid & (beat == 32'd0 | x > largest)) largest <= x;
  end

  assign m_axis_tdata = {{6{largest[9]}}, largest};

  // The sign's copies in TDATA.
  wire unused = &{1'b0, data[15:10]};

endmodule

`default_nettype wire
"""
PARTS = ("hwnorm_axis_skid.v", "hwnorm_axis_pipe.v")


class RunningMaximum(StreamKernel):
    """Over tokens of ``beats`` elements of s10f4."""

    kind = "running_maximum"

    def __init__(self, beats: int) -> None:
        super().__init__(
            top="running_maximum",
            input=FixedFormat(10, 4),
            output=FixedFormat(10, 4),
            lanes=1,
            beats=beats,
            latency=1,
            expression="max(x[0], ..., x[i])",
            parameters={"BEATS": beats},
        )

    def evaluate(self, tokens: np.ndarray) -> np.ndarray:
        return np.maximum.accumulate(np.asarray(tokens, dtype=np.int64), axis=1)

    def sources(self) -> dict[str, str]:
        parts = {part: (resource("rtl") / part).read_text() for part in PARTS}
        return {"running_maximum.v": VERILOG, **parts}

    def description(self) -> Any:
        return {"beats": self.beats}

    @classmethod
    def from_description(cls, data: Any, manifest: PackageManifest) -> RunningMaximum:
        if not isinstance(data, dict) or not isinstance(data.get("beats"), int):
            raise ValueError("beats: a number is needed")
        return cls(data["beats"])
