// Detections drawn on a picture: masks, tracks' trails, boxes and filled label tags.
#ifndef ROADMARK_CC_ANNOTATE_ANNOTATE_H_
#define ROADMARK_CC_ANNOTATE_ANNOTATE_H_

#include <cstdint>
#include <string>

#include "cc/annotate/canvas.h"
#include "cc/box.h"

namespace roadmark {

// A rasterised character. Laid out as a row of an int32 [N, 7] array.
struct Glyph {
  int32_t code_point;
  int32_t left, top;      // From the pen and from the top of the line to the bitmap, in pixels.
  int32_t width, height;  // Of the bitmap.
  int32_t advance;        // How far the pen moves.
  int32_t offset;         // Of the bitmap in the coverage.
};
static_assert(sizeof(Glyph) == 7 * sizeof(int32_t), "arrays of glyphs are read in place");

struct GlyphAtlas {
  const Glyph* glyphs;  // The first stands for characters without one; the others are sorted.
  int64_t count;        // 1 and up.
  const uint8_t* coverage;
  int64_t line_height;
};

struct Point {
  float y, x;
};

// Best first: what comes first is drawn on top.
struct Objects {
  int64_t count;
  const Box* boxes;              // In pixels; neither NaN nor within the picture of necessity.
  const uint8_t* colours;        // [count, 3] RGB.
  const uint8_t* text_colours;   // [count, 3] RGB.
  const std::u32string* labels;  // [count]; no tag where there is no text.
  const uint8_t* masks;          // Bool [count, height, width] of the canvas, or null.
  const Point* trail_points;     // In pixels, finite, the oldest of each object first.
  const int64_t* trail_ends;     // [count]: where each object's points end; null for no trails.
};

struct Style {
  int64_t line_width;   // Pixels; a box's frame grows inwards from its edge.
  int64_t trail_width;  // Pixels.
  int64_t margin;       // Pixels left and right of a tag's text.
  int opacity;          // Of frames, tags and the newest end of trails: 0 to 255.
  int mask_opacity;     // 0 to 255.
};

void Annotate(const Canvas& canvas, const Objects& objects, const GlyphAtlas& atlas,
              const Style& style);

}  // namespace roadmark

#endif  // ROADMARK_CC_ANNOTATE_ANNOTATE_H_
