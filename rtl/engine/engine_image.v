// Images as they are streamed: bytes row by row, channel by channel, cut into patches on their way in.
//
// Two images are held: one is read while the next arrives. A beat has PIXELS bytes of one row of a patch,
// the first one lowest. TLAST stands at the last beat; where it does not, the stream stops until aresetn
// or s_clear. It is not ready in reset. A pixel's code is its byte less 128. Word k of m_data, the one at
// s_read, holds DEPTH inputs of each token of a tile, token by token, one cycle later.

`default_nettype none

module engine_image #(
    parameter TOKENS   = 7,
    parameter DEPTH    = 8,
    parameter PIXELS   = 4,
    parameter CHANNELS = 1,
    parameter ROWS     = 7,
    parameter COLUMNS  = 7,
    parameter HEIGHT   = 4,
    parameter WIDTH    = 4,
    parameter FIRST    = 0
) (
    input  wire                      aclk,
    input  wire                      aresetn,
    input  wire                      s_clear,
    input  wire [      PIXELS*8-1:0] s_axis_tdata,
    input  wire                      s_axis_tlast,
    input  wire                      s_axis_tvalid,
    output wire                      s_axis_tready,
    input  wire                      s_done,
    input  wire [              15:0] s_read,
    output wire [TOKENS*DEPTH*8-1:0] m_data,
    output reg  [               1:0] m_ready,
    output reg                       m_early,
    output reg                       m_late
);

  localparam PATCH = CHANNELS * HEIGHT * WIDTH;
  localparam WORDS = (PATCH + DEPTH - 1) / DEPTH;
  localparam TILES = (FIRST + ROWS * COLUMNS + TOKENS - 1) / TOKENS;
  localparam GROUPS = DEPTH / PIXELS;
  // From a patch's row to the next, and from a patch to the one beside it.
  localparam LINE_WORDS = WIDTH / DEPTH, LINE_LANES = WIDTH % DEPTH;
  localparam LAST_X = WIDTH - PIXELS, LAST_COLUMN = COLUMNS - 1, LAST_Y = HEIGHT - 1, LAST_ROW = ROWS - 1;
  localparam LAST_CHANNEL = CHANNELS - 1, LAST_PLACE = TOKENS - 1, LAST_LANE = DEPTH - PIXELS;
  localparam HELD = TILES * WORDS, FIRST_TILE = FIRST / TOKENS, FIRST_PLACE = FIRST % TOKENS;
  localparam [4:0] LANES = DEPTH[4:0], STEP = PIXELS[4:0];

  generate
    if (DEPTH > 16 || TOKENS > 255) begin : g_illegal_tile
      DEPTH_must_be_at_most_16_and_TOKENS_255 stop ();
    end
    if (DEPTH % PIXELS != 0 || WIDTH % PIXELS != 0) begin : g_illegal_pixels
      PIXELS_must_divide_DEPTH_and_WIDTH stop ();
    end
  endgenerate

  reg open, filling, using, halted;
  reg [15:0] x, column, y, row, channel;
  // Where the beat goes: tile and place of its token, word and lane of its inputs; and where its row began.
  reg [15:0] tile, row_tile;
  reg [7:0] place, row_place;
  reg [15:0] word, line_word, channel_word;
  reg [4:0] lane, line_lane, channel_lane;

  assign s_axis_tready = open && !halted && !m_ready[filling];
  wire taken = s_axis_tvalid && s_axis_tready;
  wire x_ends = x == LAST_X[15:0];
  wire column_ends = column == LAST_COLUMN[15:0];
  wire y_ends = y == LAST_Y[15:0];
  wire row_ends = row == LAST_ROW[15:0];
  wire line_ends = x_ends && column_ends;
  wire plane_ends = line_ends && y_ends && row_ends;
  wire image_ends = plane_ends && channel == LAST_CHANNEL[15:0];

  // The inputs behind a patch's row are those of its next row, and behind its last one the next channel's.
  wire [5:0] line_next = {1'b0, line_lane} + LINE_LANES[5:0];
  wire line_wraps = line_next >= DEPTH[5:0];
  wire [15:0] next_word = line_word + LINE_WORDS[15:0] + {15'd0, line_wraps};
  wire [4:0] next_lane = line_next[4:0] - (line_wraps ? LANES : 5'd0);
  wire lane_wraps = lane == LAST_LANE[4:0];
  wire place_wraps = place == LAST_PLACE[7:0];
  wire [15:0] next_tile = tile + {15'd0, place_wraps};
  wire [7:0] next_place = place_wraps ? 8'd0 : place + 8'd1;

  always @(posedge aclk) begin
    open <= aresetn;
    if (!aresetn || s_clear) begin
      m_ready <= 2'b00;
      m_early <= 1'b0;
      m_late <= 1'b0;
      filling <= 1'b0;
      using <= 1'b0;
      halted <= 1'b0;
      {x, column, y, row, channel} <= {5{16'd0}};
      {word, line_word, channel_word} <= {3{16'd0}};
      {lane, line_lane, channel_lane} <= {3{5'd0}};
      tile <= FIRST_TILE[15:0];
      row_tile <= FIRST_TILE[15:0];
      place <= FIRST_PLACE[7:0];
      row_place <= FIRST_PLACE[7:0];
    end else begin
      if (s_done) begin
        m_ready[using] <= 1'b0;
        using <= ~using;
      end
      if (taken) begin
        x <= x_ends ? 16'd0 : x + PIXELS[15:0];
        word <= word + {15'd0, lane_wraps};
        lane <= lane_wraps ? 5'd0 : lane + STEP;
        if (x_ends) begin
          column <= column_ends ? 16'd0 : column + 16'd1;
          word <= line_word;
          lane <= line_lane;
          tile <= next_tile;
          place <= next_place;
        end
        if (line_ends) begin
          y <= y_ends ? 16'd0 : y + 16'd1;
          {line_word, line_lane} <= {next_word, next_lane};
          {word, lane} <= {next_word, next_lane};
          {tile, place} <= {row_tile, row_place};
          if (y_ends) begin
            row <= row_ends ? 16'd0 : row + 16'd1;
            {line_word, line_lane} <= {channel_word, channel_lane};
            {word, lane} <= {channel_word, channel_lane};
            {tile, place} <= {next_tile, next_place};
            {row_tile, row_place} <= {next_tile, next_place};
          end
        end
        if (plane_ends) begin
          channel <= channel + 16'd1;
          {channel_word, channel_lane} <= {next_word, next_lane};
          {line_word, line_lane} <= {next_word, next_lane};
          {word, lane} <= {next_word, next_lane};
          tile <= FIRST_TILE[15:0];
          row_tile <= FIRST_TILE[15:0];
          place <= FIRST_PLACE[7:0];
          row_place <= FIRST_PLACE[7:0];
        end
        if (image_ends) begin
          m_ready[filling] <= 1'b1;
          filling <= ~filling;
          channel <= 16'd0;
          {word, line_word, channel_word} <= {3{16'd0}};
          {lane, line_lane, channel_lane} <= {3{5'd0}};
        end
        m_early <= s_axis_tlast && !image_ends;
        m_late <= !s_axis_tlast && image_ends;
        halted <= s_axis_tlast != image_ends;
      end
    end
  end

  // The tile's first word, by steps: no multiplier is spent on an address.
  reg [15:0] tile_word;
  integer step;
  always @* begin
    tile_word = 16'd0;
    for (step = 0; step < 16; step = step + 1)
      if (WORDS[step]) tile_word = tile_word + (tile << step);
  end
  wire [15:0] address = tile_word + word + (filling ? HELD[15:0] : 16'd0);
  wire [15:0] read = s_read + (using ? HELD[15:0] : 16'd0);
  genvar t, g, p;
  generate
    for (t = 0; t < TOKENS; t = t + 1) begin : g_tokens
      for (g = 0; g < GROUPS; g = g + 1) begin : g_groups
        localparam LANE = g * PIXELS;
        wire [PIXELS*8-1:0] group;
        engine_memory #(
            .WORDS(2 * TILES * WORDS), .BITS(PIXELS * 8), .ADDRESS(16)
        ) pixels (
            .aclk(aclk),
            .s_write(taken && place == t && lane == LANE[4:0]),
            .s_address(address),
            .s_data(s_axis_tdata),
            .s_read(read),
            .m_data(group)
        );
        for (p = 0; p < PIXELS; p = p + 1) begin : g_pixels
          assign m_data[((t*DEPTH)+g*PIXELS+p)*8+:8] = group[p*8+:8] ^ 8'h80;
        end
      end
    end
  endgenerate

endmodule

`default_nettype wire
