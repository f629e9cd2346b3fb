# mt_embed(TARGET SYMBOL ROOT FILE...): compiles FILEs (names below ROOT, as URLs and `require` will use them) into TARGET
# as the array `const struct mt_asset SYMBOL[]` of core/http/assets.h. A changed file is embedded anew by the next build.
#
#   include(${CMAKE_SOURCE_DIR}/core/http/embed.cmake)
#   file(GLOB_RECURSE files CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR}/web ${CMAKE_SOURCE_DIR}/web/*)
#   mt_embed(mintage mt_assets ${CMAKE_SOURCE_DIR}/web ${files})
include_guard(GLOBAL)

set(MT_EMBED_TOOL_SOURCE ${CMAKE_CURRENT_LIST_DIR}/tools/embed_assets.c)

function(mt_embed target symbol root)
  if(NOT TARGET embed_assets)
    find_package(ZLIB REQUIRED)
    if(NOT TARGET PkgConfig::OPENSSL)
      pkg_check_modules(OPENSSL REQUIRED IMPORTED_TARGET libcrypto)
    endif()
    add_executable(embed_assets ${MT_EMBED_TOOL_SOURCE})
    target_link_libraries(embed_assets PRIVATE ZLIB::ZLIB PkgConfig::OPENSSL)
  endif()
  set(output ${CMAKE_CURRENT_BINARY_DIR}/${target}_${symbol}.c)
  list(TRANSFORM ARGN PREPEND ${root}/ OUTPUT_VARIABLE inputs)
  add_custom_command(
    OUTPUT ${output}
    COMMAND embed_assets ${symbol} ${output} ${root} ${ARGN}
    DEPENDS embed_assets ${inputs}
    COMMENT "Embedding ${symbol}"
    VERBATIM)
  target_sources(${target} PRIVATE ${output})
endfunction()
