// A photo from the camera: a window with its picture, or the telephone's own camera program.
const $ = id => document.getElementById(id);
let stream = null;

export function setUpCamera() {
  $("cancel").onclick = () => $("shutter").close();
  $("shutter").onclose = () => {
    stream?.getTracks().forEach(track => track.stop());
    stream = null;
    $("video").srcObject = null;
  };
}

// take(blob) gets the photo. Telephones, and browsers that show pages no camera, choose a file with otherwise().
export async function photograph(take, otherwise, complain) {
  const telephone = matchMedia("(pointer: coarse)").matches;
  if (telephone || !navigator.mediaDevices?.getUserMedia) { otherwise(); return }
  try {
    stream = await navigator.mediaDevices.getUserMedia({video: {width: {ideal: 1280}}});
  } catch (error) {
    complain(error.name === "NotAllowedError" ? "The browser does not let this page use the camera."
                                              : "There is no camera, or another program uses it.");
    return;
  }
  $("video").srcObject = stream;
  $("shutter").showModal();
  $("shoot").onclick = () => {
    const video = $("video"), canvas = document.createElement("canvas");
    if (!video.videoWidth) return;               // the first picture has not come yet
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob(blob => { $("shutter").close(); take(blob) }, "image/jpeg", 0.92);
  };
}
