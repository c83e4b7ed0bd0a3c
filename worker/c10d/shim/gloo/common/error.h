// Stand-in for Gloo's header: nothing of it is named by ProcessGroupGloo.hpp.
#pragma once
