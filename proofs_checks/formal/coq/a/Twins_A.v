(** Near falsehoods of groups A, E and F, each disproved by an example; numbers by interval arithmetic. *)

From Coq Require Import Reals Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
From Interval Require Import Tactic.
From Singdiffusion Require Import Base Mixture Formulas A E F.
Local Open Scope R_scope.

(** A1 without the factor alpha^2_{u|t} *)
Theorem A1_twin_no_factor : exists a_s s_s a_t s_t a_u s_u, 0 < a_u < a_t /\ a_t < a_s /\
  noise a_u s_u a_s s_s <> noise a_u s_u a_t s_t + noise a_t s_t a_s s_s.
Proof.
  exists (4 / 5), (3 / 5), (3 / 5), (4 / 5), (5 / 13), (12 / 13). repeat split; try lra. apply Rlt_not_eq. unfold noise, factor. interval.
Qed.

(** A1 with alpha^2_{t|s} in its place *)
Theorem A1_twin_earlier_factor : exists a_s s_s a_t s_t a_u s_u, 0 < a_u < a_t /\ a_t < a_s /\
  noise a_u s_u a_s s_s <> noise a_u s_u a_t s_t + factor a_t a_s ^ 2 * noise a_t s_t a_s s_s.
Proof.
  exists (4 / 5), (3 / 5), (3 / 5), (4 / 5), (5 / 13), (12 / 13). repeat split; try lra. apply Rlt_not_eq. unfold noise, factor. interval.
Qed.

(** A2 with [a = alpha_{t|s} sigma_s/sigma_t] *)
Theorem A2_twin_a : exists a_t s_t a_s s_s, 0 < a_t < a_s /\ br_a a_t s_t a_s s_s <> factor a_t a_s * s_s / s_t.
Proof. exists (3 / 5), (4 / 5), (4 / 5), (3 / 5). split; [lra|]. apply Rlt_not_eq. unfold br_a, factor. interval. Qed.

(** A2 with [c^2 = sigma^2_{t|s}] *)
Theorem A2_twin_variance : exists a_t s_t a_s s_s, 0 < a_t < a_s /\ br_c2 a_t s_t a_s s_s <> noise a_t s_t a_s s_s.
Proof. exists (3 / 5), (4 / 5), (4 / 5), (3 / 5). split; [lra|]. apply Rlt_not_eq. unfold br_c2, noise, factor. interval. Qed.

(** A3: the gap of log-SNRs, and b/c for its square *)
Theorem A3_twin_log : exists a_t s_t a_s s_s, 0 < a_t < a_s /\
  br_b a_t s_t a_s s_s ^ 2 / br_c2 a_t s_t a_s s_s <> ln (snr_of a_s s_s) - ln (snr_of a_t s_t).
Proof. exists (3 / 5), (4 / 5), (4 / 5), (3 / 5). split; [lra|]. apply Rgt_not_eq. unfold br_b, br_c2, noise, factor, snr_of, Rgt. interval. Qed.

Theorem A3_twin_root : exists a_t s_t a_s s_s, 0 < a_t < a_s /\
  br_b a_t s_t a_s s_s ^ 2 / br_c2 a_t s_t a_s s_s <> sqrt (snr_of a_s s_s - snr_of a_t s_t).
Proof. exists (3 / 5), (4 / 5), (4 / 5), (3 / 5). split; [lra|]. apply Rgt_not_eq. unfold br_b, br_c2, noise, factor, snr_of, Rgt. interval. Qed.

(** A4 with the prior's weights: Bayes moves them *)
Theorem A4_twin_prior : exists (w : nat -> R) (y : nat -> vec) x, sumn 2 w = 1 /\ bayes 1 2 w y (3 / 5) (4 / 5) x 1 <> w 1%nat.
Proof.
  exists (fun _ => 1 / 2), (fun i _ => if Nat.eqb i 0 then -1 else 1), (fun _ => 1). split; [simpl; lra|].
  apply Rgt_not_eq. unfold bayes, dens, sq, dot, vminus, vscal, Rgt. simpl. interval.
Qed.

(** A5 with the variance sigma_1^2, and "also at alpha_1 = .0683": the kernel then depends on x_1 *)
Theorem A5_twin_variance : exists s_t a_s s_s, 0 < a_s /\ 0 < s_t /\ br_c2 0 s_t a_s s_s <> s_t ^ 2.
Proof. exists 1, (3 / 5), (4 / 5). repeat split; try lra. apply Rlt_not_eq. unfold br_c2, noise, factor. interval. Qed.

Theorem A5_twin_sd : exists s_t a_s s_s, 0 < s_t /\ 0 < br_a 0.0683 s_t a_s s_s.
Proof. exists 0.9977, 0.1, 0.995. split; [lra|]. unfold br_a, factor. interval. Qed.

(** E1: the singular step with x_1 for x_1/sigma_1 *)
Theorem E1_twin_sigma : exists mu x a_s s_s s_1, 0 < s_1 /\ ddim mu (eps_of x mu 0 s_1) a_s s_s <> a_s * mu + s_s * x.
Proof. exists 0, 1, (3 / 5), (4 / 5), 3. split; [lra|]. apply Rlt_not_eq. unfold ddim, eps_of. interval. Qed.

(** E1: the kept noise with [eta sigma_{t|s}] for [eta c] *)
Theorem E1_twin_noise : exists a_t s_t a_s s_s, 0 < a_t < a_s /\ noise a_t s_t a_s s_s + (br_a a_t s_t a_s s_s * s_t) ^ 2 <> s_s ^ 2.
Proof. exists (3 / 5), (4 / 5), (4 / 5), (3 / 5). split; [lra|]. apply Rgt_not_eq. unfold br_a, noise, factor, Rgt. interval. Qed.

(** E2: a grid geometric in g itself *)
Theorem E2_twin_geometric : exists lam g r, 0 < lam /\ 0 < g /\ 1 < r /\
  g * r ^ 2 <> Formulas.next_optimal_snr (g * r) (gmmse lam g) (gmmse lam (g * r)) (- (gmmse lam (g * r)) ^ 2).
Proof. exists 1, 1, 2. repeat split; try lra. apply Rgt_not_eq. unfold gmmse, Formulas.next_optimal_snr, Rgt. interval. Qed.

(** F1: the cosine of the sum of the angles *)
Theorem F1_twin_sum : exists a_t s_t a_s s_s lam, 0 < lam /\ 0 < s_t /\ 0 < s_s /\ 0 < a_t /\ 0 < a_s /\
  step_factor a_t s_t a_s s_s lam <> flow_factor a_t s_t a_s s_s lam * cos (angle a_s s_s lam + angle a_t s_t lam).
Proof.
  exists (3 / 5), (4 / 5), (4 / 5), (3 / 5), 1. repeat split; try lra. apply Rgt_not_eq.
  rewrite !F1_angle_atan by lra. unfold step_factor, flow_factor, var_t, snr_of, Rgt. interval.
Qed.

(** F2: a noise start keeps cos theta too *)
Theorem F2_twin_noise_start : exists a s lam, 0 < a /\ 0 < s /\ 0 < lam /\ 1 / sqrt (var_t a s lam) <> cos (angle a s lam).
Proof.
  exists (3 / 5), (4 / 5), 1. repeat split; try lra. apply Rgt_not_eq. rewrite F1_angle_atan by lra. unfold var_t, snr_of, Rgt. interval.
Qed.

(** F3: a shift S acts on lam / S *)
Theorem F3_twin_shift : exists t S lam, 0 < t < 1 /\ 0 < S /\ 0 < lam /\ angle (1 - shifted S t) (shifted S t) lam <> angle (1 - t) t (lam / S).
Proof.
  exists (1 / 2), 3, 1. repeat split; try lra. apply Rlt_not_eq. rewrite !F1_angle_atan; unfold shifted, snr_of; try lra; try interval.
Qed.

(** F8: an unequal grid is as good *)
Theorem F8_twin_unequal : cos (PI / 8) * cos (3 * PI / 8) <> cos (PI / (2 * INR 2)) ^ 2.
Proof. apply Rlt_not_eq. simpl INR. interval. Qed.

(** F9: one step at eta = 1 misses [b lam s_t^2/v_t] *)
Theorem F9_twin_b : exists a_t s_t a_s s_s lam, 0 < a_t < a_s /\ 0 < lam /\
  var_t a_s s_s lam - eta_var lam a_t s_t a_s (br_a a_t s_t a_s s_s * s_t) (br_c2 a_t s_t a_s s_s) 1
  <> br_b a_t s_t a_s s_s * lam * s_t ^ 2 / var_t a_t s_t lam.
Proof.
  exists (3 / 5), (4 / 5), (4 / 5), (3 / 5), 1. repeat split; try lra. rewrite F9_missing; try (unfold var_t; lra).
  apply Rlt_not_eq. unfold br_b, noise, factor, var_t. interval.
Qed.
