(function () {
  var label = document.getElementById("filter-label");
  var box = document.getElementById("filter");
  if (!label || !box) return;
  label.hidden = false;
  var blocks = document.querySelectorAll("tbody[data-name]");
  box.addEventListener("input", function () {
    var wanted = box.value.trim().toLowerCase();
    blocks.forEach(function (block) {
      block.hidden = block.dataset.name.toLowerCase().indexOf(wanted) < 0;
    });
  });
})();
