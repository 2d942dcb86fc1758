// Where the tags of boxes stand, and the text on them.
#ifndef ROADMARK_CC_ANNOTATE_TAGS_H_
#define ROADMARK_CC_ANNOTATE_TAGS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "cc/annotate/annotate.h"
#include "cc/annotate/canvas.h"
#include "cc/annotate/tag_place.h"

namespace roadmark {

Size TextSize(const GlyphAtlas& atlas, const std::u32string& text);

// Adds the coverage of one line of text, whose top left corner is (top, left), to a tile. Returns
// what part of the tile that has changed.
Rect DrawText(const GlyphAtlas& atlas, const std::u32string& text, int64_t top, int64_t left,
              AlphaTile* tile);

// A place inside the picture for a tag of each box; tags larger than the picture are cut.
//
// A tag stands above its box; where it would hide much of another tag or of a small box, or where
// the picture ends, it stands below, or else inside. Boxes that come first choose first. An empty
// size gets an empty place.
std::vector<Rect> PlaceTags(const Rect& picture, const std::vector<Rect>& boxes,
                            const std::vector<Size>& sizes, int64_t line_width);

}  // namespace roadmark

#endif  // ROADMARK_CC_ANNOTATE_TAGS_H_
